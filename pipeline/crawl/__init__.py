"""What to fetch next, and when: pure modules that get bytes and time as arguments."""

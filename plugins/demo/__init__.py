"""What the runnable examples in configs/ need."""

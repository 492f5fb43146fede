"""Is a result good enough, and is it like those before? Pure: text and figures in, verdicts and warnings out."""

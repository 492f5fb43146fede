"""A scripted HTTP server on loopback for tests: it does what no decent server does, exactly when the script says."""

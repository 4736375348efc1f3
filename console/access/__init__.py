"""Who gets into the console, and as what: names of the host, tokens, sessions, proxies, and what guessing costs."""

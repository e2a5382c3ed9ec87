"""Methods against their baselines on given trials; each file is one comparison."""

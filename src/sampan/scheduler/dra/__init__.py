"""Dynamic resource allocation: `expression` reads device selectors, `devices` says what there is, `allocate` gives it out."""

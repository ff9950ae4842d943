"""Dynamic resource allocation: `devices` says what there is, `capacity` what a share of one takes, `allocate` gives it out."""

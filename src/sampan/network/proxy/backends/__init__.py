"""One module a kernel facility; each turns `rules.Rule`s into what that facility reads."""

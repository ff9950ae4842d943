"""One module a verb: from a parsed, permitted request to a `Response`."""

"""The nouns of the API and what can be asked of them. Methods have no bodies: their route and signature say everything."""

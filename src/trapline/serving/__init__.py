"""Running a model for others: thin, each part decodes a request, asks `answers`, encodes the answer."""

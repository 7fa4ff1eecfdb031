"""The command line: one verb a file; each parses, calls one workflow and prints."""

"""Applications with pages or addresses of their own."""

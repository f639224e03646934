"""A fit as one page to read: what stands on it as data, and the template that lays it out."""

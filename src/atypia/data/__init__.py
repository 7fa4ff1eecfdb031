"""Figures: the table, its readers, votes, domains, splits, audit, images, crops, phantom."""

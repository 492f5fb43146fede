"""A first config for a page: what repeats on it are records, what repeats in those are fields.

No model and no knowledge of sites: only the page. The rooms of the framework that read pages and write YAML are known,
neither commands nor runs are.
"""

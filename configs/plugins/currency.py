"""A plugin of your own: a Python file with hook functions. Name it in `plugins:` by its path.

`process_item` sees every item. Change it in place and return nothing to keep it; return `Drop("why")` to leave it out.
"""

from pipeline import Drop, Item, hookimpl

EUR_PER_GBP = 1.17


@hookimpl
def process_item(item: Item) -> Drop | None:
    """Add the price in euros; leave out what is sold out."""
    if item.type == "book":
        if not item["stock"]:
            return Drop("sold out")
        item["price_eur"] = round(item["price"] * EUR_PER_GBP, 2)
    return None

"""A stock of goods: what there is, and what is running out.

Two stretches are still to be written. Let them be filled:

    infill-lsp fill examples/stock.py --watch
"""


class Goods:
    def __init__(self) -> None:
        self.items: list[str] = []

    def __len__(self) -> int:
        return len(self.items)


class Stock(Goods):
    def __init__(self, name: str, limit: int = 10) -> None:
        super().__HOLE__
        self.name = name
        self.limit = limit

    def is_empty(self) -> bool:
        return not self.items

    def add(self, item: str, count: int = 1) -> None:
        if count < 0:
            raise ValueError("count must not be negative")
        __HOLE__ in range(count):
            self.items.append(item)


def main() -> None:
    stock = Stock("garden", limit=3)
    stock.add("spade", count=2)
    print(f"{stock.name}: {len(stock)} items, empty: {stock.is_empty()}")


if __name__ == "__main__":
    main()

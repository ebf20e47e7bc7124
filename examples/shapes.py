"""Plane shapes: their areas, their outlines, and which of them is the largest.

Four stretches are still to be written. Let them be filled:

    infill-lsp fill examples/shapes.py --watch
"""

import math
from dataclasses import __HOLE__


@dataclass(frozen=True)
class Circle:
    radius: float

    def area(self) -> float:
        return math.pi * self.radius**2

    def outline(self) -> float:
        return 2 * math.pi * __HOLE__


@dataclass(frozen=True)
class Rectangle:
    width: float
    height: float

    def area(self) -> float:
        return self.width * self.height

    def outline(self) -> float:
        return 2 * (self.width + __HOLE__)


Shape = Circle | Rectangle


def total_area(shapes: list[Shape]) -> float:
    total = 0.0
    for shape in __HOLE__:
        total += shape.area()
    return total


def largest(shapes: list[Shape]) -> Shape:
    return max(shapes, key=lambda shape: shape.area())


def main() -> None:
    shapes = [Circle(1.0), Rectangle(2.0, 3.0), Rectangle(1.5, 1.5)]
    for shape in shapes:
        print(f"{shape}: {shape.area():.2f} in {shape.outline():.2f}")
    print(f"together {total_area(shapes):.2f}, the largest is {largest(shapes)}")


if __name__ == "__main__":
    main()

"""Types of arrays with their shapes, ``Float[np.ndarray, "seed epoch"]``: for readers, type checkers, and checks at run time.

They are jaxtyping's. Where that is not installed they are the array types alone.
"""

from typing import TYPE_CHECKING, Any

__all__ = ["Bool", "Float", "Int", "Shaped"]

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Shaped
else:
    try:
        from jaxtyping import Bool, Float, Int, Shaped
    except ModuleNotFoundError:

        class _AnyShape:
            """The type of an array, whatever its entries and its shape."""

            def __class_getitem__(cls, item: tuple[type, str]) -> Any:
                return item[0]

        Bool = Float = Int = Shaped = _AnyShape

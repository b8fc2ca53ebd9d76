"""A list of plain words, and of names, that several skills draw from."""

__all__ = ["NAMES", "WORDS"]

WORDS = (
    "apple", "anchor", "basket", "bridge", "candle", "castle", "desert", "dolphin", "engine", "falcon", "garden",
    "guitar", "hammer", "harbour", "island", "jacket", "kettle", "ladder", "lantern", "marble", "mirror", "needle",
    "orange", "packet", "pencil", "pepper", "quarry", "ribbon", "rocket", "saddle", "silver", "temple", "ticket",
    "tunnel", "valley", "velvet", "walnut", "window", "winter", "yellow", "zephyr",
)  # fmt: skip
NAMES = ("Ada", "Boris", "Chen", "Dalia", "Emeka", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kira", "Lena")

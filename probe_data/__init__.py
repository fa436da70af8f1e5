"""Which images are explained: named probe sets, folders, lists and scenes."""

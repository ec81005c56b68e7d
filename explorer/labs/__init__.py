"""The labs: classic uses of autoencoders, each a small module whose run(...) yields Steps and then a Result."""

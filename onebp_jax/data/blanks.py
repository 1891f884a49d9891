"""Characters that nobody sees: blanks around names and ids, and characters that no id may have."""

# Blank, tab, no-break blanks, the wide blank, zero-width blanks and joiners, the byte order mark.
BLANKS = " \t\u00a0\u2007\u202f\u3000\u200b\u2060\ufeff"
# Line breaks of every kind, and the zero character.
BREAKS = "\n\r\v\f\0\x1c\x1d\x1e\x85\u2028\u2029"

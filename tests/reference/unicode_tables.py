# SPDX-License-Identifier: Apache-2.0
#
# unicode_tables.py > src/model/unicode_tables.h
#
# What the `tokenizers` library (as transformers' CLIPTokenizer uses it) takes for a letter, a number and white space, its
# lower case, and its canonical decompositions and combining classes: asked of the library itself, code point by code point,
# since its parts follow different versions of Unicode. Made with tokenizers 0.23.3.
import sys
import unicodedata

from tokenizers import Regex, normalizers

import tokenizers

DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def number(n):
    """Six bits a digit: five of the number, lowest first, and one that says that more follow; the sign is bit 0."""
    n = n << 1 if n >= 0 else (-n << 1) | 1
    out = ""
    while True:
        n, low = n >> 5, n & 31
        out += DIGITS[low | (32 if n else 0)]
        if not n:
            return out


def ranges(points):
    out = []
    for c in sorted(points):
        if out and out[-1][1] == c:
            out[-1][1] = c + 1
        else:
            out.append([c, c + 1])
    return out


def encode_ranges(points):
    last, out = 0, []
    for a, b in ranges(points):
        out.append(number(a - last) + number(b - a))
        last = b
    return out


def encode_tuples(tuples):
    """Each number as its difference to the same place of the tuple before."""
    last, out = None, []
    for t in tuples:
        last = last or (0,) * len(t)
        out.append("".join(number(x - y) for x, y in zip(t, last)))
        last = t
    return out


def show(name, comment, parts):
    print("/* %s */" % comment)
    print("static const char %s[] =" % name)
    line = ""
    for part in parts:
        if len(line) + len(part) > 120:
            print('    "%s"' % line)
            line = ""
        line += part
    print('    "%s";\n' % line)


points = [c for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]
text = {c: chr(c) for c in points}


def of_class(pattern):
    replace = normalizers.Replace(Regex(pattern), "")
    return [c for c in points if replace.normalize_str(text[c]) == ""]


letters, numbers, spaces = of_class(r"\p{L}"), of_class(r"\p{N}"), of_class(r"\s")

lowercase = normalizers.Lowercase().normalize_str
lower = []                                        # (first, count, step, difference)
for c in points:
    to = lowercase(text[c])
    if to == text[c]:
        continue
    if len(to) > 1:
        assert c == 0x130 and to == "i\u0307", hex(c)   # the only one; said in unicode.c
        continue
    difference = ord(to) - c
    if lower:
        first, count, step, d = lower[-1]
        gap = c - (first + (count - 1) * (step or 1))
        if d == difference and gap <= 2 and (step in (0, gap)):
            lower[-1] = (first, count + 1, gap, d)
            continue
    lower.append((c, 1, 0, difference))
lower = [(a, n, s or 1, d) for a, n, s, d in lower]

nfd, nfc = normalizers.NFD().normalize_str, normalizers.NFC().normalize_str
pairs = []                                        # (composed, a, b): b 0 for one; composed negative: never composed again
for c in points:
    if 0xAC00 <= c < 0xAC00 + 11172 or nfd(text[c]) == text[c]:
        continue
    parts = [int(x, 16) for x in unicodedata.decomposition(text[c]).split()]
    assert len(parts) in (1, 2) and nfd("".join(map(chr, parts))) == nfd(text[c]), hex(c)
    again = nfc("".join(map(chr, parts))) == text[c] and len(parts) == 2
    pairs.append((c, parts[0], parts[1] if len(parts) == 2 else 0, 0 if again else 1))

# The library's classes may be older than Python's: a mark that it does not know does not change places with another.
classes = {}
for c in points:
    k = unicodedata.combining(text[c])
    if not k or nfd(text[c]) != text[c]:
        continue
    if nfd(text[c] + "\u0334") != text[c] + "\u0334" or nfd("\u0345" + text[c]) != "\u0345" + text[c]:   # above 1, below 240
        classes[c] = k
runs = []                                         # (first, count, class)
for c in sorted(classes):
    if runs and runs[-1][0] + runs[-1][1] == c and runs[-1][2] == classes[c]:
        runs[-1] = (runs[-1][0], runs[-1][1] + 1, classes[c])
    else:
        runs.append((c, 1, classes[c]))

print("/* SPDX-License-Identifier: Apache-2.0")
print(" *")
print(" * Made by tests/reference/unicode_tables.py from tokenizers %s: do not edit. The numbers are written as" % tokenizers.__version__)
print(" * unicode.c reads them: base 64, five bits a digit. */")
print("#ifndef MODEL_UNICODE_TABLES_H\n#define MODEL_UNICODE_TABLES_H\n")
print("enum { UNICODE_LETTERS = %d, UNICODE_NUMBERS = %d, UNICODE_SPACES = %d, UNICODE_LOWER = %d, UNICODE_PAIRS = %d, UNICODE_MARKS = %d };\n"
      % (len(ranges(letters)), len(ranges(numbers)), len(ranges(spaces)), len(lower), len(pairs), len(runs)))
show("unicode_letters", "Ranges, each: its beginning from the last one's end, its length", encode_ranges(letters))
show("unicode_numbers", "The same", encode_ranges(numbers))
show("unicode_spaces", "The same", encode_ranges(spaces))
show("unicode_lower", "first, count, step, what is to be added", encode_tuples(lower))
show("unicode_pairs", "a code point and the two (or one, and 0) it decomposes to; 1 if it is never composed again", encode_tuples(pairs))
show("unicode_marks", "first, count, canonical combining class", encode_tuples(runs))
print("#endif")
print("%d letters, %d numbers, %d spaces, %d lower, %d pairs, %d marks" % (len(letters), len(numbers), len(spaces), len(lower), len(pairs), len(classes)),
      file=sys.stderr)

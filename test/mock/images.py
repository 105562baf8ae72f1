"""Pictures: what the models see in them, and a world of them with a hidden rule.

Each word of the lexicon has a colour.  A picture in a message is seen as a text with the
word of its mean colour, in fences like any other, so that models need to know nothing of
pictures.  Where a prompt has placeholders [IMAGE-...] the pictures behind it are seen in
their places.  Only PNG can be looked into; what is elsewhere is seen by its address.

    python3 images.py --rows 120 --seed 3 --sql pictures     a script for psql: id photo keep note
"""

import argparse
import base64
import binascii
import random
import re
import struct
import sys
import zlib

from world import LEXICON, hidden_rule

SIGNATURE = b"\x89PNG\r\n\x1a\n"
DATA_URL = re.compile(r"data:(image/(?:png|jpeg|gif|webp));base64,([A-Za-z0-9+/]+={0,2})")
PLACEHOLDER = re.compile(r"\[IMAGE-\d+\]")
SIZE = 6                        # pixels to a side
TOKENS = 300                    # that a picture counts for


def colour(word):
    """The colour of a word: far enough from all others to survive some noise."""
    number = LEXICON.index(word)
    return 20 + number % 3 * 100, 20 + number // 3 % 3 * 100, 20 + number // 9 * 100


def chunk(kind, data):
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def draw(word, rng):
    """A PNG of the word's colour, with noise that makes it the only one of its kind."""
    rows = b""
    for _ in range(SIZE):
        pixels = (channel + rng.randrange(-15, 16) for _ in range(SIZE) for channel in colour(word))
        rows += b"\0" + bytes(pixels)
    header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 2, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def read_chunks(data):
    """The chunks of a PNG, by kind."""
    chunks, at = {}, len(SIGNATURE)
    while at + 8 <= len(data) and b"IEND" not in chunks:
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        chunks[kind] = chunks.get(kind, b"") + data[at + 8:at + 8 + length]
        at += length + 12
    return chunks


def mean_colour(data):
    """Of a PNG as draw() makes them."""
    chunks = read_chunks(data)
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    rows = zlib.decompress(chunks[b"IDAT"])
    pixels = b"".join(rows[line * (3 * width + 1) + 1:(line + 1) * (3 * width + 1)] for line in range(height))
    return tuple(sum(pixels[channel::3]) / (width * height) for channel in range(3))


def see(source):
    """What a model makes of a picture."""
    match = DATA_URL.fullmatch(source)
    if not match:
        return f"a picture at {source}" if source.startswith(("http://", "https://")) else "nothing readable"
    try:
        seen = mean_colour(base64.b64decode(match.group(2), validate=True))
    except (binascii.Error, KeyError, struct.error, zlib.error, ZeroDivisionError):
        return "nothing readable"
    return min(LEXICON, key=lambda word: sum((a - b) ** 2 for a, b in zip(colour(word), seen)))


def fenced(source):
    """The same as a field of a document."""
    return f"\n<<<{'0' * 16}\n{see(source)}\n{'0' * 16}>>>\n"


def source_of(part):
    """The source of an image part; None for another."""
    return part.get("image_url", {}).get("url") if part.get("type") == "image_url" else None


def join_parts(parts):
    """The text of a list of parts, with what is seen in the pictures."""
    sources = [source_of(part) for part in parts if source_of(part)]
    whole = "".join(part.get("text", "") for part in parts)
    if sources and len(PLACEHOLDER.findall(whole)) == len(sources):
        left = iter(sources)
        return PLACEHOLDER.sub(lambda match: fenced(next(left)), whole)
    return "".join(fenced(source_of(part)) if source_of(part) else part.get("text", "") for part in parts)


def count_tokens(content, count):
    """The tokens of a message's content; a picture counts by itself."""
    if not isinstance(content, list):
        return count(str(content))
    return sum(TOKENS if source_of(part) else count(part.get("text", "")) for part in content)


def from_block(block):
    """An image of the Messages API as a part."""
    source = block["source"]
    url = source["url"] if source["type"] == "url" else f"data:{source['media_type']};base64,{source['data']}"
    return {"type": "image_url", "image_url": {"url": url}}


def from_part(part):
    """An image of generateContent as a part."""
    inline = part.get("inlineData")
    url = f"data:{inline['mimeType']};base64,{inline['data']}" if inline else part["fileData"]["fileUri"]
    return {"type": "image_url", "image_url": {"url": url}}


def make_rows(options):
    """Rows of the world: (id, picture, label, note)."""
    rng = random.Random(f"pictures {options.seed}")
    rule = hidden_rule(options.seed, options.features)
    for number in range(1, options.rows + 1):
        word = rng.choice(sorted(rule))
        note = f'The colour "{word}" gives it away.' if rng.random() < options.notes else ""
        yield number, draw(word, rng), rule[word], note


def main():
    """Write a table of pictures as SQL."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--features", type=int, default=8, help="colours in the hidden rule")
    parser.add_argument("--notes", type=float, default=0.3, help="share of rows whose labeller names the colour")
    parser.add_argument("--sql", metavar="TABLE", default="pictures")
    options = parser.parse_args()
    out = sys.stdout
    out.write(f"CREATE TABLE {options.sql} (id int PRIMARY KEY, photo bytea, keep text, note text);\n")
    for number, picture, label, note in make_rows(options):
        out.write(f"INSERT INTO {options.sql} VALUES ({number}, '\\x{picture.hex()}', '{label}', '{note}');\n")


if __name__ == "__main__":
    main()

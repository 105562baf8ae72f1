"""Record what real servers answer: record.py FILE NAME=BASE_URL ...

Sends the request of every exchange of FILE (see test/unit/wire/README.md) to
the server that it names, and puts the status and the body that came into the
file, with no more than three alternatives to a token.  What is expected of
them is for a person to look at.
"""

import json
import sys
import urllib.error
import urllib.request


def ask(url, body):
    """(status, body) of a POST."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json",
                                                                     "anthropic-version": "2023-06-01"})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def shorten(body):
    """Leave most of the alternatives to tokens out."""
    for choice in body.get("choices", []):
        for token in (choice.get("logprobs") or {}).get("content", []):
            del token["top_logprobs"][3:]
    return body


def write(exchange):
    """An exchange as JSON, a member to a line."""
    members = (f"\t{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in exchange.items())
    return "{\n" + ",\n".join(members) + "\n}"


def main():
    """Rewrite the file."""
    path, servers = sys.argv[1], dict(argument.split("=", 1) for argument in sys.argv[2:])
    with open(path, encoding="utf-8") as file:
        exchanges = json.load(file)
    for exchange in exchanges:
        sent = {**exchange["request"], **exchange.get("padding", {})}
        exchange["status"], body = ask(servers[exchange["server"]] + exchange["path"], sent)
        exchange["body"] = shorten(body)
        print(exchange["name"], exchange["status"])
    with open(path, "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(map(write, exchanges)) + "\n]\n")


if __name__ == "__main__":
    main()

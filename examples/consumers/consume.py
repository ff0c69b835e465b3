"""Calls an API with the token of a mounted Secret, once a second: consume.py URL. Needs nothing but Python."""

import os
import sys
import time
import urllib.error
import urllib.request

TOKEN_FILE = os.environ.get("TOKEN_FILE", "/var/run/syniverse/accessToken")


def request(url):
    """The status of one request with the token that is in the file now."""
    with open(TOKEN_FILE, encoding="ascii") as file:
        headers = {"Authorization": f"Bearer {file.read()}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as response:
            return response.status
    except urllib.error.HTTPError as refusal:
        return refusal.code


def call(url):
    """The same, repeated once after a 401."""
    status = request(url)
    if status == 401:
        time.sleep(1)  # a new token may be on its way into the file
        status = request(url)
    return status


while True:
    try:
        print(call(sys.argv[1]), flush=True)
    except OSError as error:
        print(error, flush=True)
    time.sleep(1)

"""What arguments and results may be, and how they are written and compressed."""

import bz2
import datetime
import decimal
import json
import math
import uuid

from celery import chain

from lab.suite import case


def comes_back(lab, value, **options):
    """Whether a value comes back from a task as it went, type included."""
    back = lab.get(lab.send("echo", value, **options))
    assert type(back) is type(value) and back == value, f"{value!r} came back as {back!r}"


@case
def plain_values_come_back_as_they_went(lab):
    for value in (None, True, False, 0, -1, 1.5, -0.0, "", "text"):
        comes_back(lab, value)
    for value in ([], [1, [2, [3]]], {}, {"a": {"b": 1}}, [None, {"c": [True]}]):
        comes_back(lab, value)


@case
def text_of_all_scripts_comes_back(lab):
    for text in ("Grüße", "漢字 ελληνικά עברית हिन्दी", "🌱\u200d🔬\u2028", "\x00\x7f", "\U0010ffff"):
        comes_back(lab, text)
        comes_back(lab, {text: [text]})


@case(contents=("json",))
def integers_beyond_64_bits_come_back(lab):
    for value in (2**63, -2**63 - 1, 2**70, 10**100):
        comes_back(lab, value)


@case
def integers_of_64_bits_come_back(lab):
    for value in (2**31, -2**31, 2**53 + 1, 2**63 - 1, -2**63):
        comes_back(lab, value)


@case
def infinities_and_nan_come_back(lab):
    comes_back(lab, math.inf)
    comes_back(lab, -math.inf)
    assert math.isnan(lab.call("echo", math.nan))


@case
def bytes_come_back(lab):
    for value in (b"", b"plain", bytes(range(256))):
        comes_back(lab, value)


@case
def a_task_can_work_on_bytes(lab):
    assert lab.call("reverse", b"\x00\x01\xff") == b"\xff\x01\x00"


@case(contents=("json",))
def dates_and_times_come_back(lab):
    comes_back(lab, datetime.datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.timezone.utc))
    comes_back(lab, datetime.datetime(2030, 1, 2, 3, 4, 5))
    comes_back(lab, datetime.date(2030, 1, 2))
    comes_back(lab, datetime.time(3, 4, 5, 678901))


@case(contents=("json",))
def decimals_and_uuids_come_back(lab):
    comes_back(lab, decimal.Decimal("1.10"))
    comes_back(lab, uuid.UUID(int=5))
    comes_back(lab, {"nested": [decimal.Decimal("-0.5"), b"\xff"]})


@case
def a_json_message_is_read_whatever_the_default_is(lab):
    comes_back(lab, {"a": [1, "ü", None]}, serializer="json")


@case
def a_msgpack_message_is_read_whatever_the_default_is(lab):
    comes_back(lab, {"a": [1, "ü", None, 2.5]}, serializer="msgpack")


@case
def bytes_travel_in_msgpack_as_they_are(lab):
    assert lab.get(lab.send("reverse", b"\x00\x01\xff", serializer="msgpack")) == b"\xff\x01\x00"


@case
def a_yaml_message_is_read(lab):
    comes_back(lab, {"a": [1, "yes", None, 2.5, True, "2030-01-02", "ü: - #"]}, serializer="yaml")


@case(contents=("json",))
def dates_travel_in_yaml(lab):
    comes_back(lab, datetime.date(2030, 1, 2), serializer="yaml")
    comes_back(lab, datetime.datetime(2030, 1, 2, 3, 4, 5), serializer="yaml")


@case
def a_chain_may_change_its_content_type_on_the_way(lab):
    steps = chain(
        lab.sig("add", 1, 2).set(serializer="json"), lab.sig("mul", 4).set(serializer="msgpack"),
        lab.sig("add", 5).set(serializer="yaml"))
    assert lab.get(steps.apply_async()) == 17


@case
def pickle_is_refused(lab):
    sent = lab.send("add", 2, 3, serializer="pickle", queue="mortal")
    assert lab.call("add", 1, 1) == 2
    lab.eventually("it is gone", lambda: lab.broker.waiting("mortal") == 0)
    if lab.cell.on_rabbitmq:
        lab.broker.exhumed(sent.id)
    assert sent.state == "PENDING"


def compressed(lab, name, **options):
    value = {"text": "compress me " * 200, "numbers": list(range(100))}
    comes_back(lab, value, compression=name, **options)


@case
def gzip_is_read(lab):
    compressed(lab, "gzip")


@case
def zlib_is_read(lab):
    compressed(lab, "zlib")


@case
def bzip2_is_read(lab):
    compressed(lab, "bzip2")


@case
def lzma_is_read(lab):
    compressed(lab, "lzma")


@case
def brotli_is_read(lab):
    compressed(lab, "brotli")


@case
def zstd_is_read(lab):
    compressed(lab, "zstd")


@case
def compressed_msgpack_is_read(lab):
    compressed(lab, "zstd", serializer="msgpack")


@case
def compression_goes_on_along_a_chain(lab):
    steps = chain(
        lab.sig("big", 5000).set(compression="bzip2"), lab.sig("echo").set(compression="zstd"))
    assert lab.get(steps.apply_async()) == "x" * 5000


@case
def a_megabyte_goes_there_and_back(lab):
    comes_back(lab, "".join(chr(32 + i * 31 % 90) for i in range(1_000_000)))


@case
def a_compressed_megabyte_is_read(lab):
    sent = lab.send("echo", "ab" * 500_000, compression="gzip")
    assert lab.get(sent) == "ab" * 500_000


def passes_over(lab, body, headers, state="PENDING", **properties):
    """A bad message is done with, and the worker goes on."""
    task_id = str(uuid.uuid4())
    headers = {"task": "lab.add", "id": task_id, **headers}
    lab.broker.publish(body, headers, queue="mortal", correlation_id=task_id, **properties)
    lab.eventually("it is gone", lambda: lab.broker.waiting("mortal") == 0)
    assert lab.call("add", 2, 3) == 5
    lab.state(lab.result(task_id), state)
    return task_id


GOOD = json.dumps([[2, 3], {}, None])


@case(differs=(
    "Celery acknowledges what it cannot decode; Umbel gives it to the dead-letter exchange."))
def a_body_that_is_no_json_is_passed_over(lab):
    task_id = passes_over(lab, "this is not JSON", {})
    if lab.umbel and lab.cell.on_rabbitmq:
        lab.broker.exhumed(task_id)


@case
def an_unknown_compression_is_passed_over(lab):
    passes_over(lab, GOOD, {"compression": "application/x-unheard-of"})


@case
def a_body_that_does_not_decompress_is_passed_over(lab):
    passes_over(lab, GOOD, {"compression": "application/zstd"})


@case
def an_unknown_type_tag_is_passed_over(lab):
    tagged = {"__type__": "unheard-of", "__value__": "x"}
    passes_over(lab, json.dumps([[tagged, 3], {}, None]), {})


@case
def an_unknown_content_type_is_passed_over(lab):
    passes_over(lab, GOOD, {}, content_type="application/x-unheard-of")


@case
def a_message_that_is_no_task_is_passed_over(lab):
    lab.broker.publish(json.dumps({"hello": "world"}), {}, queue="mortal")
    lab.eventually("it is gone", lambda: lab.broker.waiting("mortal") == 0)
    assert lab.call("add", 2, 3) == 5


@case(sides=("umbel",), differs=(
    "A body of the wrong shape kills a Celery worker, and the next one; Umbel rejects it."))
def a_body_of_the_wrong_shape_is_passed_over(lab):
    for body in ("5", "[]", "[1, 2]", '{"args": 5}', "null"):
        passes_over(lab, body, {}, state="FAILURE")


@case(sides=("umbel",), differs=(
    "Celery unpacks whatever a body unpacks to; Umbel rejects what grows beyond its size limit."))
def a_compression_bomb_is_rejected(lab):
    bomb = bz2.compress(b" " * 600_000_000)
    passes_over(lab, bomb, {"compression": "application/x-bz2"})

"""Runs an interoperability suite of Eclipse Paho against a broker on this machine.

    run.py CHECKOUT SUITE PORT [--as-written] [--only TEST]

CHECKOUT is a folder with eclipse-paho/paho.mqtt.testing, SUITE `client_test` (MQTT 3.1.1) or `client_test5` (MQTT 5). Prints a
JSON object per test: name, outcome ("passed" or "failed") and, of those that failed, why. Ends with 1 when one failed.

The suites are loaded, not changed, with three differences from starting them as programs:
- `will_message_test` runs as well: unittest does not find it, as its name does not start with `test`.
- A test that returns False has failed. Some catch what goes wrong and only return it.
- Unless --as-written is given, a SUBACK with reason code 0x87 reaches `test_subscribe_failure` as 0x80. The suite knows 0x80 only;
  the standard lists 0x87 (Not authorized) among the codes of a SUBACK as well (MQTT 5, section 3.9.3).
"""

import argparse
import functools
import importlib
import json
import logging
import os
import sys
import unittest

NOT_AUTHORIZED, UNSPECIFIED = 0x87, 0x80


def main():
    arguments = parse_arguments()
    sys.path.insert(0, os.path.join(arguments.checkout, "interoperability"))
    # What the suites print is for people who watch them.
    results, sys.stdout = sys.stdout, sys.stderr
    suite = importlib.import_module(arguments.suite)
    logging.getLogger().setLevel(logging.ERROR)
    set_globals(suite, arguments.port)
    if arguments.suite == "client_test5" and not arguments.as_written:
        forgive_not_authorized(suite)

    tests = unittest.TestSuite()
    for name in names_of(suite, arguments.only):
        setattr(suite.Test, name, false_is_failure(getattr(suite.Test, name)))
        tests.addTest(suite.Test(name))
    result = tests.run(Reporter(results))
    sys.exit(0 if result.wasSuccessful() else 1)


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkout")
    parser.add_argument("suite", choices=["client_test", "client_test5"])
    parser.add_argument("port", type=int)
    parser.add_argument("--as-written", action="store_true")
    parser.add_argument("--only")
    return parser.parse_args()


def set_globals(suite, port):
    """What the suites set themselves when they are the main program."""
    suite.host = "127.0.0.1"
    suite.port = port
    suite.topic_prefix = "client_test5/"
    suite.topics = ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")
    suite.wildtopics = ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")
    suite.nosubscribe_topics = ("test/nosubscribe",)


def names_of(suite, only):
    if only:
        return [only]
    names = unittest.defaultTestLoader.getTestCaseNames(suite.Test)
    return names + [name for name in ("will_message_test",) if hasattr(suite.Test, name)]


def false_is_failure(test):
    @functools.wraps(test)
    def checked(self):
        self.assertIsNot(test(self), False, "the test returned False")

    return checked


def forgive_not_authorized(suite):
    get_packet = suite.MQTTV5.getPacket
    subscribe_failure = suite.Test.test_subscribe_failure

    def forgiving(*arguments):
        packet = get_packet(*arguments)
        # The test subscribes to one filter, so the only code is the last byte.
        if packet and packet[0] == 0x90 and packet[-1] == NOT_AUTHORIZED:
            return packet[:-1] + bytes([UNSPECIFIED])
        return packet

    @functools.wraps(subscribe_failure)
    def test_subscribe_failure(self):
        suite.MQTTV5.getPacket = forgiving
        try:
            return subscribe_failure(self)
        finally:
            suite.MQTTV5.getPacket = get_packet

    suite.Test.test_subscribe_failure = test_subscribe_failure


class Reporter(unittest.TestResult):
    def __init__(self, stream):
        super().__init__()
        self.stream = stream

    def report(self, test, outcome, error=None):
        # A failure before the first test has no test method.
        name = getattr(test, "_testMethodName", str(test))
        details = {} if error is None else {"error": self._exc_info_to_string(error, test)}
        print(json.dumps({"name": name, "outcome": outcome, **details}), file=self.stream, flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.report(test, "passed")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.report(test, "failed", err)

    def addError(self, test, err):
        super().addError(test, err)
        self.report(test, "failed", err)


main()

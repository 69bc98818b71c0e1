"""The door's connections: who takes too long is shown out, and nobody is kept out."""

from __future__ import annotations

import socket
import time

import pytest

from hfexecutor.remote.event_loop import EventLoop
from hfexecutor.remote.http_parser import MAX_BODY
from hfexecutor.remote.http_server import HTTPServer


class House:
    """A server with a clock of its own."""

    def __init__(self):
        self.now = 0.0
        self.loop = EventLoop(clock=lambda: self.now)
        self.bodies = []
        self.ranges = []
        self.server = HTTPServer(("127.0.0.1", 0), self.loop, self.answer, self.keep)

    def answer(self, body, ticket):
        self.bodies.append(bytes(body))
        return 200, b"reply"

    def keep(self, body):
        self.ranges.append(bytes(body))
        return 200, b"kept"

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.server.port), timeout=5)
        self.turn()
        return client

    def turn(self, seconds=0.0):
        """Let the loop do what there is to do, after so much time."""
        self.now += seconds
        done = []
        limit = time.monotonic() + 0.5
        while time.monotonic() < limit and not done:
            self.loop.at(self.now, lambda: done.append(True))
            self.loop.step()
        self.loop.step(0.0)  # what was put off until then


@pytest.fixture
def house():
    house = House()
    yield house
    house.server.close()


def is_shown_out(client):
    client.settimeout(0.01)  # what the server has done is here by now: it runs in this thread
    try:
        return client.recv(100) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_who_says_nothing_is_shown_out(house):
    with house.connect() as client:
        house.turn(4)
        assert not is_shown_out(client)
        house.turn(7)
        assert is_shown_out(client)


def test_who_dawdles_over_a_request_is_shown_out(house):
    with house.connect() as client:
        for byte in b"POST / HTTP/1.1\r\nX":
            if is_shown_out(client):
                break
            client.sendall(bytes([byte]))
            house.turn(1)
        assert 10 <= house.now <= 16


def test_a_large_body_has_more_time(house):
    with house.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % MAX_BODY)
        house.turn()
        house.turn(60)
        assert not is_shown_out(client)
        house.turn(300)
        assert is_shown_out(client)


def test_a_connection_that_was_used_may_rest(house):
    with house.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi")
        house.turn()
        assert client.recv(1000).endswith(b"\r\n\r\nreply")
        house.turn(600)
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nho")
        house.turn()
        assert client.recv(1000).endswith(b"\r\n\r\nreply")
        assert house.bodies == [b"hi", b"ho"]
        house.turn(1000)
        assert is_shown_out(client)


def test_the_longest_silent_one_makes_place(house):
    clients = [house.connect() for _ in range(48)]
    clients[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
    house.turn()
    assert clients[0].recv(1000)
    clients.append(house.connect())
    assert not is_shown_out(clients[0])
    assert is_shown_out(clients[1])
    assert not is_shown_out(clients[48])
    assert repr(house.server) == f"<HTTPServer port {house.server.port} [48 connections]>"
    for client in clients:
        client.close()


def test_a_refusal_is_read_before_the_connection_ends(house):
    with house.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n")
        for _ in range(20):
            client.sendall(b"x" * 10_000)
            house.turn()
        assert client.recv(1000).startswith(b"HTTP/1.1 413 ")
        client.shutdown(socket.SHUT_WR)
        house.turn()
        assert is_shown_out(client)
        assert house.bodies == []


def test_a_client_that_leaves_in_the_middle_is_forgotten(house):
    with house.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf")
        house.turn()
    house.turn()
    assert "[0 connections]" in repr(house.server)
    assert house.bodies == []


def test_what_a_message_sets_going_comes_before_its_answer(house):
    with house.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx")
        while not house.bodies:
            house.loop.step()
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv(100)
        house.turn()
        assert client.recv(100).endswith(b"reply")


def test_who_is_owed_an_answer_gets_it_when_the_door_is_closed(house):
    with house.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx")
        while not house.bodies:
            house.loop.step()
        house.server.close()
        assert client.recv(100).endswith(b"reply")


# --- requests that stand --------------------------------------------------------------------------

POST = b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n"


class Patient(House):
    """Answers what begins with "wait" only when it is told to."""

    def answer(self, body, ticket):
        self.bodies.append(bytes(body))
        self.tickets[bytes(body)] = ticket
        return None if body == b"wait" else (200, b"reply to " + bytes(body))

    tickets: dict


@pytest.fixture
def patient():
    house = Patient()
    house.tickets = {}
    yield house
    house.server.close()


def test_a_request_may_stand_and_others_pass(patient):
    with patient.connect() as standing, patient.connect() as other:
        standing.sendall(POST + b"wait")
        patient.turn()
        other.sendall(POST + b"next")
        patient.turn()
        assert other.recv(1000).endswith(b"reply to next")
        patient.turn(600)
        assert not is_shown_out(standing)

        patient.server.reply(patient.tickets[b"wait"], b"at last")
        patient.turn()

        assert standing.recv(1000).endswith(b"\r\n\r\nat last")
        standing.sendall(POST + b"next")
        patient.turn()
        assert standing.recv(1000).endswith(b"reply to next")


def test_what_comes_after_a_request_that_stands_waits_for_its_turn(patient):
    with patient.connect() as client:
        client.sendall(POST + b"wait" + POST + b"next")
        patient.turn()
        assert patient.bodies == [b"wait"]

        patient.server.reply(patient.tickets[b"wait"], b"at last")
        patient.turn()

        assert patient.bodies == [b"wait", b"next"]
        answers = client.recv(1000)
        assert answers.index(b"at last") < answers.index(b"reply to next")


def test_nobody_is_answered_who_has_hung_up(patient):
    with patient.connect() as client:
        client.sendall(POST + b"wait")
        patient.turn()
    patient.turn()
    assert repr(patient.server).endswith("[0 connections]>")

    patient.server.reply(patient.tickets[b"wait"], b"at last")
    patient.server.reply(12345, b"to nobody")


def test_a_request_that_wants_the_last_word_has_it(patient):
    with patient.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 4\r\n\r\nwait")
        patient.turn()

        patient.server.reply(patient.tickets[b"wait"], b"at last")
        patient.turn()

        assert client.recv(1000).endswith(b"at last")
        assert client.recv(1000) == b""

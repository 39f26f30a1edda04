"""A host that has a model."""

import pytest


@pytest.fixture
def ready(qtbot, make_host):
    """`ready(engine)`: a host with a loaded model."""

    def make(engine):
        host = make_host(engine)
        with qtbot.waitSignal(host.loaded):
            host.load("starter")
        return host

    return make

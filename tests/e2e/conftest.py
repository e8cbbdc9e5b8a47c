"""A site that is made, prepared and deployed to, each once: a test asks for the state from which it goes on."""

from collections.abc import Iterator

import pytest

from tests.support.lab import Lab, Machine, ejabberd
from tests.support.operator import Done
from tests.support.site import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Hosts as their owner hands them over, and a clean checkout that knows them."""
    machines = [Machine("master"), Machine("slave1"), Machine("slave2"), Machine("xmpp", layer=ejabberd.LAYER)]
    with Lab(machines) as lab:
        yield Site(lab, tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def prepared(site: Site) -> Done:
    """After `make prepare`."""
    return site.checkout.made("prepare")


@pytest.fixture(scope="module")
def deployed(site: Site, prepared: Done) -> Done:
    """After `make deploy`."""
    return site.checkout.made("deploy")

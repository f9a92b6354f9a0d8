"""The files that administrators copy from docs/pool hold what the code knows."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from jupyter_astroml.core.errors import SettingsError
from jupyter_astroml.pool.offers import Offers
from jupyter_astroml.pool.policy import Group, Limits, Oidc, Policy, Workers, read_policy

FILES = Path(__file__).parents[2] / "docs" / "pool"
# Examples, and what every site gives itself.
OWN = {"groups", "admins", "spool"}


def test_the_policy_has_every_field_with_its_default():
    values = yaml.safe_load((FILES / "policy.yaml").read_text())
    assert set(values) == set(Policy.model_fields)
    assert set(values["workers"]) == set(Workers.model_fields)
    assert set(values["limits"]) == set(Limits.model_fields)
    assert set(values["groups"]["teachers"]) == set(Group.model_fields)
    found = read_policy(FILES / "policy.yaml")
    for name in set(values) - OWN:
        assert getattr(found, name) == getattr(Policy(), name), name


def test_the_policy_shows_how_a_provider_is_named():
    text = (FILES / "policy.yaml").read_text()
    shown = re.search("^oidc:\n((?:#  .*\n)+)", text, re.M)[1]
    oidc = yaml.safe_load(shown.replace("#", ""))
    assert set(oidc) == set(Oidc.model_fields)
    assert Policy(oidc=oidc).oidc.user == Oidc.model_fields["user"].default


def test_a_field_that_is_not_known_is_named(tmp_path):
    path = tmp_path / "pool.yaml"
    path.write_text((FILES / "policy.yaml").read_text().replace("share: 4.0", "shares: 4.0"))
    with pytest.raises(SettingsError, match=r"wrong at 'groups\.teachers\.shares'"):
        read_policy(path)


def test_policies_in_the_guide_make_sense():
    text = (FILES.parent / "pool.md").read_text()
    shown = [
        yaml.safe_load(block) for block in re.findall("^```yaml\n(.*?)^```", text, re.M | re.S)
    ]
    policies = [values for values in shown if set(values) <= set(Policy.model_fields)]
    assert [set(values) for values in policies] == [{"groups"}, {"workers"}, {"oidc"}]
    for values in policies:
        Policy.model_validate(values)


def test_digests_to_pin_are_those_that_the_shell_lists():
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_astroml", "models", "list", "--json"],
        capture_output=True,
        check=True,
        timeout=120,
    )
    pinned = {model["name"]: model["digest"] for model in json.loads(done.stdout)}
    assert {"flares", "galaxy_morphology"} <= set(Offers(pinned)) == set(pinned)


def test_values_for_kubernetes_are_yaml_with_the_same_policy():
    helm = yaml.safe_load((FILES / "z2jh-values.yaml").read_text())
    scopes = helm["hub"]["loadRoles"]["user"]["scopes"]
    granted = helm["hub"]["config"]["KubeSpawner"]["server_token_scopes"]
    assert set(scopes) & set(granted) == {"access:services!service=pool"}
    parts = list(yaml.safe_load_all((FILES / "z2jh-pool.yaml").read_text()))
    by_kind = {part["kind"]: part for part in parts}
    policy = yaml.safe_load(by_kind["ConfigMap"]["data"]["pool.yaml"])
    assert Policy.model_validate(policy).spool == Path("/spool")
    (service,) = by_kind["Service"]["spec"]["ports"]
    url = helm["hub"]["services"]["pool"]["url"]
    assert url == f"http://{by_kind['Service']['metadata']['name']}:{service['port']}"
    assert helm["singleuser"]["extraEnv"]["ASTROML_POOL"] == f"{url}/services/pool"

"""A hub of the tests: the administrator's own file, and accounts that need no accounts."""

import json
import os
import sys
from pathlib import Path

from jupyterhub.spawner import SimpleLocalProcessSpawner

about = json.loads(Path(os.environ["HUB_OF_THE_TESTS"]).read_text())
home = Path(about["home"])

c = get_config()  # noqa: F821 - JupyterHub gives it
load_subconfig(about["pool_config"])  # noqa: F821 - JupyterHub gives it
for file in about["more"]:
    load_subconfig(file)  # noqa: F821

c.JupyterHub.bind_url = about["url"]
c.JupyterHub.hub_bind_url = about["hub"]
c.JupyterHub.db_url = f"sqlite:///{home}/hub.sqlite"
c.JupyterHub.cookie_secret_file = str(home / "cookie_secret")
c.JupyterHub.load_groups = {"teachers": {"users": ["ada"]}}
c.ConfigurableHTTPProxy.command = about["proxy"]
c.ConfigurableHTTPProxy.api_url = about["proxy_api"]
c.ConfigurableHTTPProxy.pid_file = str(home / "proxy.pid")

# One password for users and one for the administrator.
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = about["password"]
c.SharedPasswordAuthenticator.admin_password = f"{about['password']}-of-the-administrator"
c.Authenticator.allowed_users = {"alice", "bob", "carol"}
c.Authenticator.admin_users = {"ada"}

# Servers of all users are processes of whoever runs the tests.
c.JupyterHub.spawner_class = SimpleLocalProcessSpawner
c.SimpleLocalProcessSpawner.home_dir_template = str(home / "{username}")
c.Spawner.cmd = [sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root", "--LabApp.expose_app_in_browser=True"]
c.Spawner.default_url = "/lab"
c.Spawner.start_timeout = c.Spawner.http_timeout = 120
c.Spawner.environment.update(about["environment"])

# What a hub without the last lines of the administrator's file gives to Carol's server.
granted = list(c.Spawner.server_token_scopes)
c.Spawner.server_token_scopes = lambda spawner: (
    granted[:2] if spawner.user.name == "carol" else granted
)

# The tests themselves ask the hub for tokens; the other service has no business with the pool.
c.JupyterHub.services.extend(
    {"name": name, "api_token": token} for name, token in about["services"].items()
)
c.JupyterHub.load_roles.append(
    {"name": "tests", "scopes": ["admin:users", "admin:servers", "tokens"], "services": ["tests"]}
)
c.JupyterHub.load_roles.append(
    {"name": "watch", "scopes": ["access:services!service=pool"], "services": ["prometheus"]}
)

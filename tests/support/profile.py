"""How much is tried: some by default, all of it in CI."""

from hypothesis import settings

IN_CI = settings.get_current_profile_name() == "ci"

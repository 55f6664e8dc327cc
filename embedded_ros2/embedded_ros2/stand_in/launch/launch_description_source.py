# SPDX-License-Identifier: Apache-2.0
"""Where a launch description comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .some_substitutions_type import SomeSubstitutionsType
from .utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from .launch_context import LaunchContext
    from .launch_description import LaunchDescription


class LaunchDescriptionSource:
    """A launch description, or the means to load one.

    Attributes:
        method: How the description is loaded, in words.
    """

    def __init__(
        self,
        launch_description: LaunchDescription | None = None,
        location: SomeSubstitutionsType = "<string>",
        method: str = "unspecified mechanism from a script",
    ) -> None:
        self.__launch_description = launch_description
        self.__location = normalize_to_list_of_substitutions(location)
        self.__expanded_location: str | None = None
        self.method = method
        self.__loaded_ahead: tuple[str, LaunchDescription] | None = None

    @property
    def location(self) -> str:
        """The path of the launch file, or its substitutions in words."""
        if self.__expanded_location is None:
            return " + ".join(part.describe() for part in self.__location)
        return self.__expanded_location

    def get_launch_description(self, context: LaunchContext) -> LaunchDescription:
        """Return the launch description, loaded once."""
        if self.__expanded_location is None:
            self.__expanded_location = perform_substitutions(context, self.__location)
        if self.__launch_description is None:
            if self.__loaded_ahead and self.__loaded_ahead[0] == self.__expanded_location:
                self.__launch_description = self.__loaded_ahead[1]
            else:
                self.__launch_description = self._get_launch_description(self.__expanded_location)
        return self.__launch_description

    def try_get_launch_description_without_context(self) -> LaunchDescription | None:
        """Return the launch description, or None if it depends on launch configurations."""
        from .launch_context import LaunchContext
        from .logging import get_logger

        if self.__launch_description is not None:
            return self.__launch_description
        try:
            location = perform_substitutions(LaunchContext(), self.__location)
            if self.__loaded_ahead is None or self.__loaded_ahead[0] != location:
                # Kept, so that looking ahead does not run the code of a launch file twice.
                self.__loaded_ahead = (location, self._get_launch_description(location))
            return self.__loaded_ahead[1]
        except Exception as error:  # any code can be in a launch file; this is only a look ahead
            get_logger("launch").debug("cannot load %s ahead: %s", self.location, error)
            return None

    def _get_launch_description(self, location: str) -> LaunchDescription:
        raise RuntimeError("LaunchDescriptionSource was given no launch description")

# SPDX-License-Identifier: Apache-2.0
"""Pictures of a world without a display: EGL, else OSMesa."""

from __future__ import annotations

import copy
import ctypes
import functools
import importlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_sim.world import scene as scenes

if TYPE_CHECKING:
    from vla_sim.world.world import World, WorldSnapshot

_SHADOW_HEIGHT = 0.0004  # m above the table
_SHADOW_THICKNESS = 1e-3  # of a shadow, relative to its part
_SHADOW_SHADE = 0.66  # of the table's colour
_NOISE = 4  # brightest grain of 255
_NOISE_STRIDE, _NOISE_SPARE = 7919, 1 << 16  # how the noise moves from picture to picture


class RenderError(RuntimeError):
    """No picture can be made."""


class Renderer:
    """Draws snapshots of a world, in any one thread, also another than that of the physics."""

    def __init__(self, world: World, width: int = 640, height: int = 480) -> None:
        """Create a graphics context of `width` x `height` px in the calling thread.

        Raises:
            RenderError: Neither EGL nor OSMesa works here.
        """
        # Its own copy: the look of a scene is written into the model while the physics runs on.
        self._model = copy.copy(world.model)
        self._data = mujoco.MjData(self._model)
        self._look: scenes.Look | None = None
        self._nominal = (self._model.cam_pos.copy(), self._model.cam_quat.copy())
        self._scene = mujoco.MjvScene(self._model, maxgeom=500)
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._view = mujoco.MjrRect(0, 0, width, height)
        self._model.vis.global_.offwidth = width
        self._model.vis.global_.offheight = height
        table = self._model.geom("table").id
        self._solid = [geom for geom in range(self._model.ngeom) if geom != table]
        self._noise = np.random.default_rng(0).integers(
            0, _NOISE, size=width * height * 3 + _NOISE_SPARE, dtype=np.uint8, endpoint=True
        )
        self.backend = choose_backend()
        try:
            self._gl = _gl_context(self.backend, width, height)
            self._gl.make_current()
            self._context = mujoco.MjrContext(
                self._model, mujoco.mjtFontScale.mjFONTSCALE_100.value
            )
        except Exception as error:  # the bindings raise whatever the graphics library raises
            raise RenderError(f"drawing with {self.backend} failed ({error}); {_HELP}") from error
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)

    def render(self, camera: str, snapshot: WorldSnapshot) -> NDArray[np.uint8]:
        """Return what `camera` sees, rgb (H, W, 3)."""
        if camera not in scenes.CAMERAS:
            raise RenderError(f"no camera {camera!r}: choose one of {', '.join(scenes.CAMERAS)}")
        if snapshot.look is not self._look:
            self._apply(snapshot.look)
        self._data.qpos[:] = snapshot.positions
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        self._camera.fixedcamid = self._model.camera(camera).id
        mujoco.mjv_updateScene(
            self._model,
            self._data,
            self._option,
            None,
            self._camera,
            mujoco.mjtCatBit.mjCAT_ALL.value,
            self._scene,
        )
        self._cast_shadows()
        self._gl.make_current()
        mujoco.mjr_render(self._view, self._scene, self._context)
        picture = np.empty((self._view.height, self._view.width, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(picture, None, self._view, self._context)
        return self._with_noise(picture[::-1], snapshot.time_s)  # OpenGL's first row is the lowest

    def close(self) -> None:
        """Free the graphics context. Call it in the thread that owns the renderer."""
        self._gl.make_current()
        self._context.free()
        self._gl.free()

    def _cast_shadows(self) -> None:
        """Add flat copies of the solid parts, thrown onto the table by the key light.

        Shadow maps would cost four times what the whole picture does.
        """
        model, data, drawn = self._model, self._data, self._scene
        ray = data.light_xdir[model.light("key").id]
        onto_table = np.eye(3)
        onto_table[:, 2] -= ray / ray[2]
        # A shadow keeps a hair of thickness, so that its upper side still has a direction.
        flat = onto_table + np.diag([0.0, 0.0, _SHADOW_THICKNESS])
        places = data.geom_xpos[self._solid] @ onto_table.T + [0.0, 0.0, _SHADOW_HEIGHT]
        shapes = flat @ data.geom_xmat[self._solid].reshape(-1, 3, 3)
        colour = np.append(model.mat_rgba[model.material("table").id, :3] * _SHADOW_SHADE, 1.0)
        for geom, place, shape in zip(self._solid, places, shapes, strict=True):
            shadow = drawn.geoms[drawn.ngeom]
            mujoco.mjv_initGeom(
                shadow, model.geom_type[geom], model.geom_size[geom], place, shape.ravel(), colour
            )
            shadow.specular = 0.0
            drawn.ngeom += 1

    def _with_noise(self, picture: NDArray[np.uint8], time_s: float) -> NDArray[np.uint8]:
        """Return the picture with a sensor's noise, a function of the time."""
        start = round(time_s * 1e4) * _NOISE_STRIDE % _NOISE_SPARE
        noise = self._noise[start : start + picture.size].reshape(picture.shape)
        return np.asarray(np.minimum(picture, 255 - _NOISE) + noise)

    def _apply(self, look: scenes.Look) -> None:
        model = self._model
        there = {model.material(index).name for index in range(model.nmat)}
        for row, material in enumerate(scenes.MATERIALS):
            if material in there:
                model.mat_rgba[model.material(material).id, :3] = look.colours[row]
        key = model.light("key").id
        model.light_dir[key] = look.key_direction / np.linalg.norm(look.key_direction)
        model.light_diffuse[key] = look.key_diffuse
        model.vis.headlight.ambient = look.ambient
        for row, name in enumerate(scenes.CAMERAS):
            camera = model.camera(name).id
            model.cam_pos[camera] = self._nominal[0][camera] + look.camera_shift[row]
            model.cam_quat[camera] = self._nominal[1][camera]
            mujoco.mju_quatIntegrate(model.cam_quat[camera], look.camera_turn[row], 1.0)
        self._look = look


def _gl_context(backend: str, width: int, height: int) -> Any:
    """Create the context object; the process is bound to its graphics library from then on."""
    module = importlib.import_module(f"mujoco.{backend}")
    return module.GLContext(width, height)


_HELP = (
    "install one of: `apt-get install libegl1 libgl1 libgl1-mesa-dri` (EGL) or `apt-get install "
    "libosmesa6` (OSMesa)"
)


@functools.cache
def choose_backend() -> str:
    """Return what draws here: `egl`, else `osmesa`; MUJOCO_GL, where set, decides.

    Raises:
        RenderError: Neither works.
    """
    wanted = os.environ.get("MUJOCO_GL", "").lower()
    if wanted:
        if wanted not in _BACKENDS:
            raise RenderError(f"MUJOCO_GL={wanted}: set it to egl or osmesa, or unset it")
        return wanted
    problems = []
    for name, probe in _BACKENDS.items():
        problem = probe()
        if problem is None:
            return name
        problems.append(f"{name}: {problem}")
    raise RenderError(f"no way to draw without a display ({'; '.join(problems)}); {_HELP}")


def _probe_egl() -> str | None:
    """Return why EGL cannot draw with desktop OpenGL on some device, or None."""
    try:
        egl = ctypes.CDLL("libEGL.so.1")
    except OSError:
        return "libEGL.so.1 is not installed"
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    query_at = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    display_at = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    if not query_at or not display_at:
        return "the library lacks eglQueryDevicesEXT"
    query = ctypes.CFUNCTYPE(
        ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)
    )(query_at)
    display_of = ctypes.CFUNCTYPE(
        ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p
    )(display_at)
    egl.eglInitialize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    devices, count = (ctypes.c_void_p * 16)(), ctypes.c_int()
    if not query(16, devices, ctypes.byref(count)) or count.value == 0:
        return "it finds no device"
    platform_device, opengl_api = 0x313F, 0x30A2
    for device in devices[: count.value]:
        display = display_of(platform_device, device, None)
        if display and egl.eglInitialize(display, None, None) and egl.eglBindAPI(opengl_api):
            return None
    return "none of its devices can be opened"


def _probe_osmesa() -> str | None:
    """Return why OSMesa cannot be loaded, or None."""
    for name in ("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so"):
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return None
    return "libOSMesa.so is not installed"


_BACKENDS: dict[str, Callable[[], str | None]] = {"egl": _probe_egl, "osmesa": _probe_osmesa}

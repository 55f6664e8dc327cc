# SPDX-License-Identifier: Apache-2.0
"""MoveIt's parameters for an arm, out of its robot file."""

from __future__ import annotations

from typing import Any

from vla_contract.robot import Robot
from vla_moveit.core.moveit_model import GROUP

Tree = dict[str, Any]

OMPL, PILZ = "ompl", "pilz_industrial_motion_planner"
# Namespace of the parameters of one request.
REQUEST = "request"
# OMPL has a choice of its own, in `ompl_planning`; Pilz has none.
_PLANNER = {OMPL: "", PILZ: "PTP"}
# A planner such as RRTstar takes all the time that it gets, and postures are sought before it.
_PLANNING_SHARE = 0.7
# Fewer joints than this cannot turn the tool as one likes.
_FULL_JOINTS = 6
_REQUEST_ADAPTERS = [
    "default_planning_request_adapters/ResolveConstraintFrames",
    "default_planning_request_adapters/ValidateWorkspaceBounds",
    "default_planning_request_adapters/CheckStartStateBounds",
    "default_planning_request_adapters/CheckStartStateCollision",
]
_VALIDATE = "default_planning_response_adapters/ValidateSolution"
# What Pilz plans linear motions of the tool with: m/s, m/s^2, rad/s.
_CARTESIAN = {
    "max_trans_vel": 0.25,
    "max_trans_acc": 1.0,
    "max_trans_dec": -1.0,
    "max_rot_vel": 1.0,
}


def joint_limits(robot: Robot) -> Tree:
    """Return `joint_limits.yaml`: what the robot file says, rad/s, rad/s^2, rad/s^3."""
    limits, gripper = robot.limits, robot.gripper
    found: Tree = {}
    for row, name in enumerate(limits.joint_names):
        found[name] = {
            "has_position_limits": True,
            "min_position": float(limits.position_lower[row]),
            "max_position": float(limits.position_upper[row]),
            "has_velocity_limits": True,
            "max_velocity": float(limits.velocity[row]),
            "has_acceleration_limits": True,
            "max_acceleration": float(limits.acceleration[row]),
            "has_jerk_limits": True,
            "max_jerk": float(limits.jerk[row]),
        }
    found[gripper.joint] = {
        "has_velocity_limits": True,
        "max_velocity": float(gripper.velocity),
        "has_acceleration_limits": False,
        "has_jerk_limits": False,
    }
    scaling = {"default_velocity_scaling_factor": 1.0, "default_acceleration_scaling_factor": 1.0}
    return {**scaling, "joint_limits": found}


def kinematics(robot: Robot) -> Tree:
    """Return `kinematics.yaml`. With fewer than six joints only the tool's position is sought."""
    return {
        GROUP: {
            "kinematics_solver": "kdl_kinematics_plugin/KDLKinematicsPlugin",
            "kinematics_solver_search_resolution": 0.005,
            "kinematics_solver_timeout": 0.05,
            "position_only_ik": len(robot.limits.joint_names) < _FULL_JOINTS,
        }
    }


def ompl_planning() -> Tree:
    """Return `ompl_planning.yaml`."""
    return {
        "planning_plugins": ["ompl_interface/OMPLPlanner"],
        "request_adapters": _REQUEST_ADAPTERS,
        "response_adapters": [
            "default_planning_response_adapters/AddTimeOptimalParameterization",
            _VALIDATE,
        ],
        "planner_configs": {
            "RRTConnect": {"type": "geometric::RRTConnect", "range": 0.0},
            "RRTstar": {"type": "geometric::RRTstar", "range": 0.0, "goal_bias": 0.05},
        },
        GROUP: {
            "planner_configs": ["RRTConnect", "RRTstar"],
            "default_planner_config": "RRTConnect",
            # Of the space's extent, how long a step between two looks may be.
            "longest_valid_segment_fraction": 0.002,
        },
    }


def pilz_planning() -> Tree:
    """Return the parameters of Pilz' planner."""
    return {
        "planning_plugins": ["pilz_industrial_motion_planner/CommandPlanner"],
        "default_planner_config": _PLANNER[PILZ],
        "request_adapters": _REQUEST_ADAPTERS,
        "response_adapters": [_VALIDATE],
    }


def pilz_cartesian_limits() -> Tree:
    """Return `pilz_cartesian_limits.yaml`."""
    return {"cartesian_limits": dict(_CARTESIAN)}


def node_parameters(
    robot: Robot, urdf: str, srdf: str, *, pipeline: str, planner_id: str, time_s: float
) -> Tree:
    """Return every parameter of MoveIt's node.

    Args:
        robot: Limits and joints.
        urdf: As of `moveit_model.description`.
        srdf: As of `moveit_model.semantics`.
        pipeline: `OMPL` or `PILZ`.
        planner_id: Of the pipeline's planners; empty for its own choice.
        time_s: How long its answer is waited for, s.
    """
    plans = {OMPL: ompl_planning(), PILZ: pilz_planning()}
    return {
        "robot_description": urdf,
        "robot_description_semantic": srdf,
        "robot_description_kinematics": kinematics(robot),
        "robot_description_planning": {**joint_limits(robot), **pilz_cartesian_limits()},
        "planning_scene_monitor_options": {
            "name": "planning_scene_monitor",
            "robot_description": "robot_description",
            # Each question says where the arm is.
            "wait_for_initial_state_timeout": 0.0,
        },
        "planning_pipelines": {"pipeline_names": [pipeline]},
        # Times are made here, and MoveIt's would round the corners of its path, by 0.1 rad.
        pipeline: {**plans[pipeline], "response_adapters": [_VALIDATE]},
        REQUEST: {
            "plan_request_params": {
                "planning_attempts": 1,
                "planning_pipeline": pipeline,
                "planner_id": planner_id or _PLANNER[pipeline],
                "planning_time": _PLANNING_SHARE * time_s,
                "max_velocity_scaling_factor": 1.0,
                "max_acceleration_scaling_factor": 1.0,
            }
        },
    }

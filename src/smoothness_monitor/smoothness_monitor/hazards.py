# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, what is done about it, and the tests that show it. SAFETY.md's table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hazard:
    """One hazard.

    Attributes:
        id: H1, H2 and so on; stable. The docstrings of its tests begin with it.
        what: What could happen.
        mitigation: What is done about it.
        tests: Names of test functions in this package.
    """

    id: str
    what: str
    mitigation: str
    tests: tuple[str, ...]


HAZARDS: tuple[Hazard, ...] = (
    Hazard(
        "H1",
        "A plan steps the arm, or exceeds a limit of position, velocity, acceleration or jerk.",
        "Every plan is checked at and between its knots, and against the plan that runs; one "
        "that fails is not forwarded and stops the arm (`plan_rejected`).",
        (
            "test_a_plan_beyond_a_limit_is_not_forwarded_and_trips",
            "test_a_malformed_plan_trips_and_names_what_is_wrong",
            "test_an_absurdly_large_finite_plan_is_refused_without_a_warning",
            "test_a_plan_in_the_wrong_joint_order_never_reaches_the_controller",
            "test_a_plan_without_a_stamp_is_not_forwarded_and_trips",
            "test_a_plan_that_begins_where_the_controller_was_not_heard_to_be_waits_for_it",
            "test_a_plan_with_the_start_of_an_older_one_is_not_forwarded",
            "test_a_plan_must_continue_every_plan_that_may_run",
            "test_a_plan_of_too_many_knots_is_refused_before_it_is_looked_at",
            "test_a_plan_with_fields_of_any_length_is_refused_before_it_is_looked_at",
            "test_a_plan_that_names_any_number_of_joints_is_refused_before_it_is_looked_at",
            "test_a_plan_that_lasts_for_hours_is_refused",
            "test_a_crowd_of_knots_is_refused",
            "test_a_message_that_is_too_large_is_not_even_read_and_trips",
            "test_bytes_that_are_no_message_are_passed_over",
        ),
    ),
    Hazard(
        "H2",
        "A NaN or an infinity reaches the controller, which accepts it without a word.",
        "A non-finite value in a plan, in joint_states or in controller_state stops the arm "
        "(`non_finite`); the message is not used.",
        (
            "test_a_non_finite_number_in_a_plan_is_not_forwarded_and_trips",
            "test_a_non_finite_gripper_trajectory_trips",
            "test_a_nan_in_the_controllers_reference_trips",
            "test_a_nan_in_the_measured_positions_trips",
            "test_a_nan_of_the_driver_trips",
            "test_a_nan_in_a_plan_stops_the_arm_and_never_reaches_the_controller",
            "test_a_controller_state_that_no_controller_sends_trips_and_the_monitor_stays",
            "test_joint_states_that_no_driver_sends_trip_and_the_monitor_stays",
            "test_a_message_of_a_million_joints_is_refused_by_its_length_alone",
            "test_garbage_in_every_input_ends_nothing",
        ),
    ),
    Hazard(
        "H3",
        "A plan arrives after the moment at which it leaves the running one, and steps the arm.",
        "It is refused; the running plan ends at rest. Lateness alone does not trip. What counts "
        "as late follows what the link to the controller is seen to take: the largest of the last "
        "two seconds, and 60 ms.",
        (
            "test_a_plan_that_leaves_what_runs_before_it_can_arrive_is_refused_in_words",
            "test_a_link_that_was_slow_for_a_moment_counts_for_two_seconds",
            "test_a_plan_that_this_process_could_not_send_in_time_is_refused_and_another_one_runs",
            "test_a_plan_that_comes_too_late_is_refused_without_a_trip",
            "test_a_plan_that_has_already_ended_is_refused_without_a_trip",
            "test_a_plan_that_continues_the_plan_before_the_running_one_is_refused_without_a_trip",
            "test_a_hundred_late_plans_trip_nothing_and_keep_the_limits",
        ),
    ),
    Hazard(
        "H4",
        "The policy falls silent in mid-motion.",
        "Every plan that is forwarded ends at rest, so the arm stops within the limits. No trip;"
        " the policy's missing heartbeat is reported (`lost_policy`).",
        (
            "test_the_policys_silence_is_no_trip_and_the_arm_comes_to_rest",
            "test_a_lost_policy_is_reported_and_trips_nothing",
        ),
    ),
    Hazard(
        "H5",
        "The stop itself jerks the arm.",
        "The brake repeats the running plan until stop_overlap_s from now, or for as long as the "
        "link to the controller is seen to take (0.5 s at most), then brakes within "
        "the limits; the controller is never cancelled, nor deactivated in motion while a brake "
        "works. A brake is built on a motion that was never sent only when three messages of "
        "controller_state in a row tell of it: one may be anybody's.",
        (
            "test_a_stop_out_of_any_motion_keeps_the_limits_rests_and_latches",
            "test_a_stop_right_after_a_plan_was_forwarded_keeps_the_limits",
            "test_a_stop_soon_after_a_plan_that_may_be_lost_keeps_the_limits",
            "test_a_false_word_of_the_controllers_state_steps_nothing",
            "test_a_stop_for_a_controller_unheard_since_before_it_turned_late_to_a_plan_keeps_the_limits",
            "test_a_stop_over_a_slow_link_does_not_step",
            "test_a_brake_that_this_process_could_not_send_in_time_is_made_anew",
            "test_a_stop_while_a_plan_is_on_a_slow_way_does_not_step",
            "test_a_brake_waits_no_longer_than_half_a_second_for_a_link",
            "test_messages_that_wait_are_taken_all_at_once_in_order_without_an_executor",
            "test_one_callback_takes_all_that_waits_behind_it",
            "test_a_topic_with_more_than_can_be_read_leaves_the_rest_for_later",
        ),
    ),
    Hazard(
        "H6",
        "The arm moves again after a stop.",
        "The stop latches: no plan is forwarded until `~/reset`. A reset needs standstill, fresh"
        " inputs and absent causes, and moves nothing. Where a controller manager is, the "
        "controller is deactivated at rest and activated by nothing but a reset. What moves in "
        "spite of the latch is braked.",
        (
            "test_a_stop_at_rest_replaces_a_plan_that_is_on_its_way",
            "test_no_plan_is_forwarded_after_a_stop_however_often_the_policy_tries",
            "test_motion_after_the_latch_is_stopped_again",
            "test_a_reset_at_rest_gives_the_permit_back_and_does_not_move_the_arm",
            "test_a_plan_from_before_the_stop_is_refused_after_a_reset",
            "test_a_reset_is_refused_while_the_arm_still_brakes",
            "test_a_reset_is_refused_while_an_input_is_missing",
            "test_a_reset_is_refused_while_its_cause_persists",
            "test_a_reset_is_refused_while_the_joints_move",
            "test_a_latch_from_before_startup_needs_all_inputs_to_be_reset",
            "test_the_node_forwards_stops_latches_and_resets",
            "test_a_controller_that_is_locked_out_may_be_silent",
            "test_a_reset_activates_the_controller_and_moves_nothing",
            "test_nothing_but_a_reset_activates_the_controller",
            "test_a_reset_whose_activation_fails_says_so_and_locks_again",
            "test_a_reset_after_which_the_controller_stays_silent_fails_and_locks_again",
            "test_a_controller_that_somebody_else_activates_is_locked_out_again",
        ),
    ),
    Hazard(
        "H7",
        "Something else commands the controller, or the controller does not do what it was sent.",
        "The controller's own report of what it runs is compared with what was forwarded "
        "(`foreign_plan`); so are the publishers on its topics (`foreign_publisher`).",
        (
            "test_a_trajectory_that_was_never_forwarded_trips",
            "test_a_reference_that_departs_from_its_plan_trips",
            "test_time_scaling_by_the_controller_trips",
            "test_a_foreign_motion_is_braked_from_the_controllers_own_state",
            "test_a_second_publisher_on_a_controllers_topic_trips",
            "test_a_second_publisher_on_the_controllers_topic_stops_the_arm",
            "test_a_controller_that_is_driven_off_every_brake_is_deactivated_at_once",
            "test_a_motion_under_a_plans_stamp_is_not_taken_for_that_plan",
            "test_an_intruder_ends_with_the_controllers_deactivation_and_a_reset_is_possible",
        ),
    ),
    Hazard(
        "H8",
        "The driver is dead: joint_states stop, or repeat themselves with fresh stamps.",
        "`stale_joint_states` (while nothing moves plans wait instead), `frozen_joint_states`; "
        "where the driver has a topic of its own, "
        "`stale_driver_states` and `frozen_driver_states` as well, because a hardware interface "
        "may go on publishing what it read last.",
        (
            "test_silent_joint_states_trip",
            "test_joint_states_that_keep_one_stamp_trip",
            "test_joint_states_that_repeat_while_the_arm_moves_trip",
            "test_a_silent_driver_trips_though_joint_states_go_on",
            "test_a_driver_that_repeats_itself_trips_though_joint_states_move",
            "test_joint_states_that_stop_at_rest_make_plans_wait_and_stop_nothing",
            "test_joint_states_that_stop_in_motion_stop_the_arm",
            "test_what_begins_to_move_while_joint_states_are_silent_is_stopped",
        ),
    ),
    Hazard(
        "H9",
        "The controller is inactive, dead or out of reach.",
        "`controller_inactive`, `stale_controller_state`; the brake is sent all the same. It "
        "cannot be verified, so the ladder goes on: deactivation, the driver's hold, FAULT. While "
        "it is silent, what was sent has ended and joint_states do not move, plans wait instead.",
        (
            "test_a_controller_that_falls_silent_at_rest_makes_plans_wait_and_stops_nothing",
            "test_a_robot_that_falls_silent_altogether_at_rest_makes_plans_wait",
            "test_joints_that_move_while_the_controller_is_silent_are_stopped",
            "test_a_controller_that_falls_silent_with_a_plan_under_way_stops_the_arm",
            "test_a_silent_controller_trips_and_the_brake_is_sent_all_the_same",
            "test_a_controller_that_becomes_inactive_trips_at_once",
            "test_startup_waits_for_an_inactive_controller_and_names_it",
        ),
    ),
    Hazard(
        "H10",
        "The controller's command breaks a limit although no plan does: late delivery, wrong "
        "settings, a fault of its own.",
        "Position, velocity, acceleration and jerk of its reference are computed from every "
        "cycle and compared with the limits (`command_*`).",
        (
            "test_a_reference_beyond_a_limit_trips",
            "test_a_reference_that_claims_to_break_a_limit_trips",
            "test_a_reference_step_of_a_hundredth_of_a_degree_trips",
            "test_a_step_is_seen_across_a_gap_in_the_messages",
            "test_a_reference_outside_of_the_position_limits_trips",
        ),
    ),
    Hazard(
        "H11",
        "A collision, an overload, a failing servo.",
        "`measured_jerk` and `tracking_error`. Both see it late and only when it is large: "
        "contact forces are not limited. Where the driver tells the servos' health: "
        "`servo_health`.",
        (
            "test_a_collision_trips_on_the_measured_jerk",
            "test_a_joint_that_stays_behind_trips",
            "test_a_servo_that_is_not_well_trips_and_blocks_a_reset",
            "test_servos_that_nobody_reports_on_any_more_trip",
        ),
    ),
    Hazard(
        "H12",
        "The brake is lost, ignored or displaced.",
        "The controller must be heard to run it. If it does not: once more after stop_resend_s, "
        "as an action goal after stop_goal_s, and, when the arm is not seen to rest stop_grace_s"
        " after the brake's end, the controller's deactivation, then the driver's hold, then "
        "FAULT. A brake that is displaced is made anew twice.",
        (
            "test_an_obeyed_brake_climbs_no_rung",
            "test_a_brake_that_the_topic_loses_arrives_as_an_action_goal_and_keeps_the_limits",
            "test_a_controller_that_refuses_the_goal_too_is_deactivated",
            "test_where_no_controller_manager_is_the_driver_holds",
            "test_a_controller_manager_that_never_answers_does_not_hold_the_ladder_up",
            "test_a_deactivation_that_does_not_stop_the_joints_leads_to_the_drivers_hold",
            "test_when_no_rung_helps_a_person_is_called_for_and_nothing_is_switched_off",
            "test_a_stop_in_fault_says_what_it_cannot_do_and_tries_everything",
            "test_a_foreign_motion_in_fault_is_braked",
            "test_a_person_leaves_fault_in_two_steps_once_the_arm_is_seen_at_rest",
            "test_fault_is_not_left_while_something_is_missing_or_moves",
            "test_a_brake_that_the_topic_loses_arrives_as_an_action_goal",
            "test_a_controller_that_obeys_nothing_is_deactivated_and_a_reset_activates_it",
            "test_a_lost_brake_trajectory_is_sent_once_more",
            "test_a_controller_that_ignores_the_brake_is_held_and_ends_in_fault",
            "test_joints_that_do_not_come_to_stand_end_in_fault",
            "test_a_controller_that_is_driven_off_its_brake_is_braked_again",
            "test_a_brake_that_is_obeyed_keeps_the_jerk_limit_and_a_reset_moves_nothing",
            "test_the_brake_keeps_the_jerk_limit_at_a_kilohertz",
            "test_a_brake_that_the_topic_loses_is_run_as_a_goal_within_the_jerk_limit",
            "test_a_controller_that_hears_nothing_is_switched_off_and_on_again_by_a_reset",
            "test_where_the_controllers_cannot_help_the_driver_holds",
            "test_where_nothing_helps_a_person_is_called_for",
        ),
    ),
    Hazard(
        "H13",
        "Clocks disagree, are set while the arm moves, or go back.",
        "`clock_step`, `clock_skew` and `backwards_stamp` trip, and the brake goes by the "
        "controller's clock. Inputs are compared where they overlap in time; where they cannot "
        "be, or are stamped by another clock, the state stays in STARTUP. A plan refused for its "
        "time names the clock that is off.",
        (
            "test_a_stamp_that_goes_back_trips",
            "test_startup_waits_for_a_controller_of_another_clock_and_says_so",
            "test_a_clock_that_is_set_trips_and_the_stop_keeps_the_limits",
            "test_a_time_that_jumps_ends_a_reset_that_is_under_way",
            "test_joint_states_from_the_future_trip",
            "test_the_whole_hosts_clock_is_set_in_motion_and_the_step_is_named",
            "test_after_a_small_step_of_the_whole_hosts_clock_the_brake_keeps_limits",
            "test_a_clock_that_is_slewed_trips_nothing",
            "test_joint_states_that_cannot_be_compared_give_no_permit_and_it_says_why",
            "test_joint_states_that_get_ahead_in_motion_are_not_blind_for_long",
            "test_joint_states_that_are_stamped_late_are_compared_with_the_plan_of_then",
            "test_a_robot_whose_clock_is_half_a_second_off_gets_no_permit_and_the_clock_is_named",
            "test_a_plan_refused_for_its_time_names_the_clock_of_its_sender",
        ),
    ),
    Hazard(
        "H14",
        "The monitor stops the arm for no reason, and people learn to work around it.",
        "Thresholds that a sound command cannot pass; ages in which the monitor's own stalls do "
        "not count. What says only that the arm is not seen well makes plans wait while nothing "
        "moves, and stops nothing.",
        (
            "test_inputs_heard_late_at_rest_make_plans_wait_and_stop_nothing",
            "test_a_monitor_held_up_at_rest_makes_plans_wait_and_stops_nothing",
            "test_a_plan_that_comes_while_plans_wait_is_refused_and_not_kept",
            "test_a_plan_under_way_is_motion_though_the_arm_still_rests",
            "test_what_begins_to_move_while_plans_wait_is_stopped",
            "test_inputs_heard_late_in_motion_stop_the_arm_by_a_brake_for_now",
            "test_a_plan_refused_for_its_time_names_the_host_that_does_not_keep_up",
            "test_a_minute_of_random_plans_trips_nothing",
            "test_the_kalman_estimator_trips_nothing_either",
            "test_stalls_of_the_monitor_trip_nothing",
            "test_a_stall_of_the_monitor_does_not_make_its_inputs_look_old",
            "test_a_stall_of_the_monitor_climbs_no_rung",
            "test_a_sound_driver_and_healthy_servos_trip_nothing",
            "test_lost_messages_trip_nothing",
            "test_lost_plans_trip_nothing_and_keep_the_limits",
            "test_a_monitor_that_was_held_up_for_two_seconds_says_so_and_brakes_for_now",
            "test_a_stop_after_a_short_stall_climbs_no_rung_for_messages_that_wait",
        ),
    ),
    Hazard(
        "H15",
        "A threshold is missing, mistyped or changed while the arm moves.",
        "No threshold has a default; an unknown, missing or wrong key ends the node with one "
        "line and exit code 2; all parameters are read-only. Nothing can be switched off.",
        (
            "test_a_missing_threshold_is_an_error_that_names_it",
            "test_an_unknown_key_is_an_error_that_names_it",
            "test_a_threshold_written_twice_is_an_error_that_names_it",
            "test_a_wrong_value_is_an_error_that_names_its_key",
            "test_thresholds_can_be_read_and_not_be_set",
            "test_a_wrong_configuration_ends_in_one_line_and_exit_code_2",
        ),
    ),
    Hazard(
        "H16",
        "The monitor itself dies.",
        "Nothing that it forwarded goes on for ever: every trajectory ends at rest. The policy's"
        " permit ends with the heartbeat of `~/state`. The black box writes what it remembers.",
        (
            "test_every_forwarded_trajectory_ends_at_rest",
            "test_a_monitor_that_falls_silent_is_noticed_once",
            "test_a_monitor_that_dies_leaves_a_bag",
        ),
    ),
    Hazard(
        "H17",
        "The gripper steps, or drops what it holds when the arm is stopped.",
        "Range, rate and continuity of its trajectories are checked; a stop keeps its commanded "
        "position, so a grasp keeps its force.",
        (
            "test_a_gripper_trajectory_beyond_range_or_rate_is_refused_without_a_trip",
            "test_a_gripper_trajectory_that_would_step_is_refused",
            "test_the_gripper_keeps_its_command_through_a_stop",
            "test_a_gripper_trajectory_that_has_ended_is_refused",
            "test_the_first_gripper_trajectory_must_start_where_the_gripper_is",
            "test_a_gripper_trajectory_that_leaves_what_runs_at_once_is_refused",
            "test_a_gripper_trajectory_without_a_stamp_is_refused",
            "test_a_gripper_trajectory_continues_every_one_that_may_run",
            "test_without_word_of_the_grippers_controller_its_trajectories_are_refused",
            "test_a_gripper_trajectory_of_too_many_points_is_refused",
            "test_the_gripper_is_held_along_what_it_runs_when_a_newer_trajectory_was_lost",
            "test_one_false_message_is_no_base_for_a_gripper_trajectory",
            "test_a_stop_after_one_false_message_holds_the_gripper_where_it_is",
            "test_one_message_of_another_time_does_not_deafen_the_grippers_account",
            "test_a_gripper_that_somebody_else_moved_is_believed_to_be_there",
        ),
    ),
    Hazard(
        "H18",
        "The arm wakes up outside of its position range.",
        "It may return, and go no further out.",
        ("test_an_arm_that_woke_up_outside_its_range_may_return_and_go_no_further_out",),
    ),
    Hazard(
        "H19",
        "Somebody wants the arm to stop.",
        "`~/stop` works in every state, also before the inputs are complete. It ends a reset that "
        "waits for the controller's activation.",
        (
            "test_a_call_to_stop_trips",
            "test_a_flood_of_huge_trajectories_leaves_the_stop_its_time",
            "test_a_stop_before_anything_was_heard_latches_and_sends_nothing",
            "test_a_stop_in_startup_brakes_what_moves",
            "test_a_call_to_stop_ends_a_reset_that_is_under_way",
            "test_a_call_to_stop_ends_a_reset_whose_controller_is_active_already",
        ),
    ),
    Hazard(
        "H20",
        "The host is too slow for the monitor, lastingly.",
        "`overrun`. Single stalls do not trip; what they do to the command is seen afterwards.",
        ("test_a_host_that_stalls_again_and_again_trips",),
    ),
    Hazard(
        "H21",
        "Something goes wrong in a way that no single test thought of.",
        "A campaign of [faults](docs/measurements/faults.md), each in many motions, judged by the "
        "same criteria: detected in time, at rest in time, jerk within its limit, no motion "
        "afterwards. Its catalogue grows with what people find.",
        ("test_a_fault_ends_as_the_catalogue_says",),
    ),
    Hazard(
        "H22",
        "Nobody can tell afterwards why the arm stopped.",
        "A process of its own remembers every topic but pictures for 30 s and writes them as a "
        "bag within 2 s of a trip, the stop included. A full disk leaves a shorter bag, or none "
        "and an error; a memory that goes on.",
        (
            "test_a_bag_holds_what_was_there_and_what_came_afterwards_and_the_cause",
            "test_a_full_disk_leaves_a_shorter_bag_or_none_and_no_rubbish",
            "test_a_disk_that_fills_up_while_a_bag_is_written_leaves_a_shorter_one",
            "test_a_trip_leaves_a_bag_with_everything_but_pictures",
            "test_a_trip_just_before_the_monitor_is_first_heard_is_noticed_once",
        ),
    ),
    Hazard(
        "H23",
        "A joint becomes loose or weak: each stop is one too many, and going on at full speed "
        "makes it worse. Or slowing down itself steps, loses the path or stops the arm.",
        "Below the thresholds of the stop the motion goes on more slowly along the same path, by "
        "plans that pass the same checks; it never gets faster than it was planned. Policies that "
        "know nothing of it are slowed down too and trip nothing. The stop is as it was.",
        (
            "test_a_rough_joint_slows_the_motion_down_along_its_path_and_a_smooth_one_lets_it_go",
            "test_a_joint_that_lags_behind_slows_the_motion_down_and_one_that_is_held_stops_it",
            "test_a_policy_that_knows_nothing_is_slowed_down_too_and_trips_nothing",
            "test_a_faster_plan_is_forwarded_more_slowly_under_its_own_stamp",
            "test_garbage_trips_while_the_motion_is_slowed_down_as_ever",
            "test_a_stop_in_the_middle_of_a_slowdown_keeps_the_limits",
            "test_a_slowed_plan_that_the_topic_loses_is_sent_again",
            "test_a_minute_of_random_plans_is_never_slowed_down",
            "test_a_loose_joint_slows_the_arm_down_and_a_firm_one_lets_it_go",
        ),
    ),
    Hazard(
        "H30",
        "The controller itself is set so that it steps, whatever it is sent: the newest releases "
        "begin a plan with a stamp in the past anew on its arrival.",
        "The parameters on which the bound rests are written out in the controllers file, and "
        "read from the controllers themselves, again and again; an event that tells of a wrong "
        "value counts at once. While one is wrong or unknown there is no permit; the reason names "
        "it and its remedy.",
        (
            "test_the_newest_controllers_default_is_wrong_and_named_with_its_remedy",
            "test_each_other_value_is_named",
            "test_a_controller_of_other_joints_is_wrong",
            "test_what_has_no_joints_is_no_trajectory_controller",
            "test_every_controllers_file_has_them_right",
            "test_nothing_is_forwarded_while_a_controllers_parameters_are_wrong",
            "test_parameters_that_nobody_read_count_as_unknown",
            "test_a_wrong_parameter_of_the_controller_holds_every_plan_back_and_is_named",
            "test_a_parameter_that_is_set_wrong_is_known_from_its_event_without_a_question",
            "test_an_event_gives_nothing_back_only_an_answer_does",
            "test_no_slower_plan_is_sent_to_a_controller_whose_parameters_are_wrong",
        ),
    ),
    Hazard(
        "H31",
        "A trajectory is held back on its way and carried out late, which steps the arm.",
        "A plan that arrives late at the monitor is refused. When two plans in a row do not come "
        "to run the arm is stopped and the controller deactivated, so that what is let go later "
        "finds nobody. The simulation's controllers drop what is too old.",
        ("test_plans_that_are_held_back_on_their_way_stop_the_arm",),
    ),
    Hazard(
        "H32",
        "Simulated time has a second source: a second simulation, a player of recordings, a "
        "message by mistake.",
        "A time that does not go on from the one before is believed only when others continue "
        "it, and stops the arm (`clock_step`); so do two publishers of /clock "
        "(`foreign_publisher`). A simulation that finds another one at work ends.",
        (
            "test_a_false_message_on_clock_stops_the_arm_by_a_brake_for_now_and_is_named",
            "test_two_sources_of_simulated_time_stop_the_arm_and_are_named",
        ),
    ),
    Hazard(
        "H26",
        "An input, or a defect of this software, ends the monitor's process: latch, lock-out and "
        "the upper rungs are gone. Or it waits for somebody to read its log.",
        "Values, stamps, names and lengths are bounded where messages are taken in. An exception "
        "in a callback latches the stop (`internal_error`) and the node goes on; what only tells "
        "(state, smoothness, diagnostics, log) is logged. Where no brake can be computed, the "
        "controller's deactivation and the driver's hold are asked for. Output that nobody takes "
        "(a suspended terminal, a stopped launch) is never waited for; words are lost then.",
        (
            "test_an_exception_in_a_callback_stops_the_arm_and_the_monitor_goes_on",
            "test_an_exception_ends_a_reset_that_is_under_way",
            "test_a_monitor_that_cannot_compute_a_brake_asks_for_what_needs_none",
            "test_a_monitor_that_is_wrong_everywhere_gives_up_its_permit",
            "test_exceptions_that_go_on_while_the_arm_is_stopped_end_in_what_needs_no_plan",
            "test_meters_that_raise_take_nothing_down_with_them",
            "test_a_defect_in_a_callback_latches_and_the_node_goes_on",
            "test_a_service_is_answered_whatever_happens_within",
            "test_a_defect_in_what_only_tells_stops_nothing",
            "test_messages_that_nobody_sends_end_nothing",
            "test_a_reader_that_does_not_read_holds_up_nothing",
        ),
    ),
    Hazard(
        "H27",
        "A monitor that is started again has forgotten that the one before it was latched, and "
        "the arm moves without a reset.",
        "A file says whether it was latched; one that ended without a word, in motion, or whose "
        "file cannot be relied on counts as latched (`restarted`). The launch files start a "
        "monitor that died again.",
        (
            "test_a_process_that_just_ends_latches_the_next_one",
            "test_an_end_in_motion_latches_the_next_one",
            "test_a_latch_outlives_any_number_of_processes_and_says_why",
            "test_a_file_that_is_damaged_latches",
            "test_a_file_of_another_kind_latches",
            "test_a_file_about_another_robot_latches",
            "test_a_disk_that_fails_later_ends_nothing_and_latches_the_next_process",
            "test_a_restored_latch_waits_for_a_person_and_says_so",
            "test_a_controller_that_was_locked_out_before_the_restart_is_activated_by_a_reset",
            "test_a_controller_that_is_found_inactive_after_a_restart_counts_as_locked_out",
            "test_what_moves_on_after_a_restart_is_braked_unless_it_ends_by_itself",
            "test_a_monitor_that_died_comes_up_latched_and_a_person_resets_it",
        ),
    ),
    Hazard(
        "H33",
        "A plan within every limit leads the arm into the table, an obstacle, or itself.",
        "Where the robot's folder has a workspace file, a plan that brings a capsule of the arm "
        "nearer to something than the margin is not forwarded, and what it is is named "
        "(`workspace`); what runs ends at rest. Not judged: brakes and changes of speed, what the "
        "arm holds, and anything that is not in the file.",
        (
            "test_a_plan_into_the_table_is_named_before_it_gets_there",
            "test_a_plan_into_the_arm_itself_names_both_links",
            "test_a_policy_that_wants_into_something_is_refused_and_nothing_trips",
        ),
    ),
    Hazard(
        "H34",
        "Somebody moves the arm through the operator's page who may not, or the page, lost, slow "
        "or flooded, moves it, frees it, or takes time from what watches it.",
        "The page is served to its own computer alone, elsewhere only with a token and TLS; names "
        "and sites are checked; one page at a time is in control, and STOP is open to every page "
        "that was let in. It runs in a process of its own and asks what anybody may; messages, "
        "rates and sockets are bounded. Its loss ends nothing, and moves and frees nothing.",
        (
            "test_a_page_stops_the_arm_in_motion_and_resets_it",
            "test_pages_that_are_lost_or_senseless_leave_a_motion_alone",
            "test_an_end_of_the_page_s_node_leaves_a_motion_alone",
            "test_it_refuses_to_be_reached_from_elsewhere_without_token_and_tls",
            "test_without_the_token_there_is_neither_socket_nor_stop",
            "test_another_site_opens_no_socket_and_stops_nothing",
            "test_a_name_that_somebody_lets_point_here_is_refused",
            "test_a_thousand_sockets_that_say_nothing_keep_no_page_out",
            "test_handshakes_that_are_never_finished_keep_no_page_out",
            "test_a_slow_page_is_shown_the_newest_and_holds_up_nobody",
            "test_one_page_is_in_control_and_another_takes_over_explicitly",
            "test_stop_is_open_to_every_page_and_works_without_a_socket",
            "test_a_press_counts_from_where_a_plan_can_follow_and_ends_by_itself",
            "test_a_jog_holds_the_arm_sends_chunks_and_ends_with_its_page",
        ),
    ),
)

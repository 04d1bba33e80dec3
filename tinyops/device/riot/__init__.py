"""Firmware on RIOT: the user's checkout of it, facts of any board that it supports, applications, builds."""

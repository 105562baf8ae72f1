/* gepa: install script, put together from src/sql in order; do not edit. */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION gepa" to load this file. \quit

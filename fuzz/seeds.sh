#!/usr/bin/env bash
# Writes the seeds of the targets that damage stores: for each kind of damage a store of each kind that it befalls.
# An input is: which store, how it is opened, then pieces of damage (fuzz/model/damaged/hurt.rs).
set -euo pipefail
cd "$(dirname "$0")/seeds"

# seed NAME HEX: the same bytes for all three targets, which damage other files with them.
seed() {
    local target
    for target in open_any_bytes queue_and_index_files mark_and_checkpoint; do
        mkdir -p "$target"
        printf '%b' "$(sed 's/../\\x&/g' <<<"$2")" >"$target/$1"
    done
}

seed sound                          0000
seed after_a_power_cut              0200
seed of_a_broker_that_was_killed    0600
seed empty_with_rubbish             070000010000001844414d4147452e
seed overwritten                    000000020000401868617665206265656e206f7665727772697474656e
seed impossible_numbers             0102030000080300010203000010000101
seed a_bit_turned_over              000004040000bc04060003ff
seed a_page_of_zeros                010005020000010504000000
seed a_page_misplaced               0000060303010106050200000600000102
seed cut_short                      0304070100000507050001000703000000
seed longer_than_it_was             040008010001000008030000ffff
seed removed                        00000902090509070903
seed renamed_and_doubled            00000a02040000000a0506010000
seed two_changed_places             05000c02040c00010c0703
seed other_content                  00000d0404deadbeef0d02080001020304050607
seed a_record_hit_at_its_front      00000e050004ffffffff0e0a0c080000000000000001
seed a_sealed_mark                  00000f00080402000000
seed a_mark_that_claims_too_much    00000f00080301010000
seed ranges_of_the_input            00000f000c0114000000010000000000000000ffffffffffffffff
seed queues_of_the_input            00000f001c023c00000000000180000000000000000000000000000000000000000000000000000003000000040000000000000000000000000000000000000000
seed everything_made_anew           06180000010000080101010101010101

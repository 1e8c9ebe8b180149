#include "sim/kinds.h"

#include "sim/node_sim.h"
#include "sim/raft_sim.h"

namespace databridge::sim {

const std::vector<RunKind>& kinds() {
  static const std::vector<RunKind> all{
      {"raft",
       run_raft,
       {{"vote_twice"},
        {"vote_before_persist"},
        {"vote_for_shorter_log"},
        {"ack_before_persist"},
        {"ack_unverified_tail"},
        {"commit_old_term"},
        {"commit_before_own_sync"},
        {"commit_beyond_match"},
        {"apply_uncommitted"},
        {"read_without_round"},
        {"contact_by_receipt"},
        {"two_changes_at_once"},
        {"install_stale_snapshot"},
        {"append_without_log_check"},
        {"elect_with_half"},
        {"removed_untold"},
        {"term_is_identity"},
        {"second_leader_obeyed"},
        {"longer_log_passed_over"},
        {"loss_unnoticed"},
        {"any_term_goes"}}},
      {"node",
       run_node,
       {{"elect_with_half"},
        {"append_without_log_check"},
        {"commit_before_own_sync"},
        {"trigger_after_lease"},
        {"gate_left_open"},
        {"refused_is_proof"},
        {"report_of_any_boot"},
        {"release_unsaved"},
        {"say_before_sync"},
        {"local_reads"},
        {"leader_skips"},
        {"forgets_keys"},
        {"trusts_first_sight"},
        {"keeps_old_addresses"},
        {"gives_up_what_it_holds"},
        {"admits_the_removed"},
        {"removes_who_holds"},
        {"old_samples_of_emptiness"},
        {"any_clock_is_right"},
        {"age_by_wall_clock"},
        {"names_connections_again"},
        {"epoch_goes_back"},
        {"chunks_over_the_head"},
        {"release_forgotten"},
        {"forgets_epochs"},
        {"forgets_goodbyes"},
        {"purges_the_stopped"},
        {"never_cut_off"},
        {"newer_boot_is_proof"},
        {"older_copies_count"},
        {"strangers_count"}}},

      {"wild",
       run_wild,
       {{"consumed_comes_back"},
        {"forgets_keys"},
        {"forgets_rotated"},
        {"looks_beside_the_link"},
        {"any_number_is_it"},
        {"holes_are_text"}}},
  };
  return all;
}

}  // namespace databridge::sim

// The API's JSON as text for people.
//
// - Pure: text in, text out. Accepts any text: a missing value is shown as "-".
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace databridge::ctl {

// One line for each row. Each column is as wide as its widest cell; columns are two spaces apart.
std::string table(const std::vector<std::vector<std::string>>& rows);

std::string render_status(std::string_view json);
std::string render_nodes(std::string_view json);
std::string render_node(std::string_view json);
std::string render_leader(std::string_view json);
std::string render_joined(std::string_view json);
std::string render_assignments(std::string_view json);
std::string render_assignment(std::string_view json);
std::string render_flows(std::string_view json);
std::string render_flow(std::string_view json);
std::string render_plan(std::string_view json);
std::string render_operation(std::string_view json);
std::string render_operations(std::string_view json);
std::string render_restore(std::string_view json);
std::string render_config(std::string_view json);
std::string render_config_item(std::string_view json);
std::string render_strategy(std::string_view json);
std::string render_tokens(std::string_view json);
std::string render_new_token(std::string_view json);  // The token itself, alone on its line.
std::string render_events(std::string_view json);
std::string render_certificates(std::string_view json);
std::string render_event(std::string_view json);  // One line, as in a stream.

// The value of "status" in a cluster's status, or "-".
std::string status_of(std::string_view json);

// The value of "next" in a list that goes on, or "".
std::string next_of(std::string_view json);

// The id in a flow file, or "": top-level `id:` in YAML, "id" in JSON.
std::string flow_id_of(std::string_view file);

}  // namespace databridge::ctl

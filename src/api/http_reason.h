// The reason phrases of status codes, and whole answers as bytes. Pure.
#pragma once

#include <string>
#include <string_view>

namespace databridge::api {

struct ApiResponse;

std::string_view reason_of(int status);

// How the body of an answer ends: after its length, with an empty chunk, or with the connection.
enum class BodyEnd { length, chunk, close };

// The status line and the header, with the empty line. `last`: the connection ends after this
// answer.
std::string answer_head(const ApiResponse& answer, BodyEnd end, bool last);

// A whole answer that ends the connection.
std::string raw_answer(const ApiResponse& answer);

}  // namespace databridge::api

// Binds a socket to an address. Hides resolving, and the words for what goes wrong.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/result.h"
#include "model/address.h"

namespace databridge::platform {

// The socket is closed in children from the first moment. It does not listen yet.
Result<void> bind_to(const Address& address, boost::asio::io_context& io,
                     boost::asio::ip::tcp::acceptor& acceptor);

Error cannot_listen(const Address& address, const boost::system::error_code& error);

}  // namespace databridge::platform

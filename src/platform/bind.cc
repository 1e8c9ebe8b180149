#include "platform/bind.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

namespace databridge::platform {

using boost::asio::ip::tcp;

Error cannot_listen(const Address& address, const boost::system::error_code& error) {
  const bool taken = error == boost::asio::error::address_in_use;
  return {
      taken ? Code::conflict : Code::io,
      fmt::format("cannot listen on {}: {}{}", address.text(), error.message(),
                  taken ? "; another process has it: stop that one or choose another port" : "")};
}

Result<void> bind_to(const Address& address, boost::asio::io_context& io, tcp::acceptor& acceptor) {
  const auto cannot = [&](const boost::system::error_code& error) {
    return tl::make_unexpected(cannot_listen(address, error));
  };
  boost::system::error_code error;
  tcp::resolver resolver(io);
  const auto found =
      resolver.resolve(address.host, std::to_string(address.port),
                       tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (error) return cannot(error);
  const tcp::endpoint endpoint = found.begin()->endpoint();
  // Close-on-exec from the first moment: a child that held the port would look like a living node.
  const int fd = ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return cannot(boost::system::error_code(errno, boost::system::system_category()));
  acceptor.assign(endpoint.protocol(), fd, error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (error) return cannot(error);
  return {};
}

}  // namespace databridge::platform

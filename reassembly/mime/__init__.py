"""Mail and multipart bodies to parts."""
